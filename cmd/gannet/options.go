package main

import (
	"fmt"
	"log/slog"
	"math"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine"
	"github.com/gannetmq/gannet/engine/broker"
)

// engineOptions turns the settings into the engine's options. Every setting that
// is neither about the process itself nor about who may do what is mentioned here once;
// the latter are in admission.go.
func engineOptions(c *config.Config) engine.Options {
	o := engine.DefaultOptions()
	o.Listeners = nil
	if c.Loops > 0 {
		o.Loops = c.Loops
	}
	if c.MaxConnections > 0 {
		o.MaxConnections = c.MaxConnections
	}
	o.MaxAcceptRate = c.MaxAcceptRate
	o.MaxHandshakes = c.MaxHandshakes
	o.HandshakeTimeout = c.HandshakeTimeout
	o.ShutdownTimeout = c.ShutdownTimeout

	b := &o.Broker
	b.MaxConnectBytes = int(c.MaxConnectSize)
	b.ConnectTimeout = c.ConnectTimeout
	b.MaxLoopLag = c.MaxLoopLag
	b.MaxSessions = c.MaxSessions
	b.MaxOutboundBytes = toInt(c.MaxOutboundBytes)
	b.MaxRetained = c.MaxRetainedMessages
	b.MaxRetainedBytes = c.MaxRetainedBytes
	b.MaxGroupMessages = c.MaxGroupQueuedMessages
	b.MaxGroupBytes = toInt(c.MaxGroupQueuedBytes)
	b.SharedStrategy = sharedStrategy(c.SharedStrategy)
	if c.ConnectionMessages {
		b.ConnectionLevel = slog.LevelInfo
	}

	s := &b.Session
	s.MaxInflight = c.MaxInflight
	s.ReceiveMaximum = c.ReceiveMaximum
	s.TopicAliasMaximum = c.TopicAliasMaximum
	s.TopicAliasOut = c.TopicAliasMaximumOut
	s.MaxPacketSize = c.MaxPacketSize
	s.MaxKeepAliveSecs = c.MaxKeepAlive
	s.MaxSessionExpiry = c.MaxSessionExpiry
	s.MaxQoS = codec.QoS(c.MaxQoS)
	s.RetainUnavailable = !c.RetainAvailable
	s.MaxTopicLevels = c.MaxTopicLevels
	s.MaxTopicBytes = c.MaxTopicLength
	s.MaxSubscriptions = c.MaxSubscriptions
	s.MaxQueuedMessages = c.MaxQueuedMessages
	s.MaxQueuedBytes = toInt(c.MaxQueuedBytes)
	s.QueueWindow = c.QueueWindow
	s.QueueWindowBytes = toInt(c.QueueWindowBytes)
	s.QueueQoS0 = c.QueueQoS0
	s.MaxPayload = toInt(c.MaxPayload)
	s.MaxMessageRate = uint32(min(c.MaxMessageRate, math.MaxUint32))
	s.MaxByteRate = uint32(min(c.MaxByteRate, math.MaxUint32))
	return o
}

// sharedStrategy finds the strategy of a name that the configuration has
// accepted.
func sharedStrategy(name string) broker.Strategy {
	s, ok := broker.ParseStrategy(name)
	if !ok {
		panic(fmt.Sprintf("options: shared-strategy %q is accepted but not known", name))
	}
	return s
}

// toInt narrows n to int, which is smaller on 32-bit machines.
func toInt(n int64) int { return int(min(n, math.MaxInt)) }
