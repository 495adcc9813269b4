// Package client is a small MQTT client for 3.1, 3.1.1 and 5.0: what `gannet
// pub` and `gannet sub` stand on, and what tests use to talk to a server.
//
//	c, err := client.Dial(ctx, client.Options{Address: "127.0.0.1:1883", ClientID: "me"})
//	granted, err := c.Subscribe(ctx, client.Subscription{Filter: "a/#", QoS: codec.QoS1})
//	code, err := c.Publish(ctx, client.Message{Topic: "a/b", Payload: []byte("hi"), QoS: codec.QoS2})
//	m := <-c.Messages()
//	err = c.Disconnect(ctx)
//
// It completes QoS 1 and 2 both ways, honours the server's Receive Maximum and
// its own window, keeps the connection alive and speaks enhanced
// authentication. It does not reconnect: a Client is one network connection.
// Whoever wants to go on after it was lost dials again with the same Session.
//
// A Client has two goroutines. One reads and never waits for the network to
// take anything, so that a peer which stops reading cannot lock both sides. The
// other writes whatever was appended since its last write, in one call. Both
// end when the connection does, and Disconnect and Close wait for them.
//
// WebSocket turns a connection into one by WebSocket; a Dialer calls it.
//
// It imports codec, gobwas/ws and the standard library.
package client
