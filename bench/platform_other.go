//go:build !linux

package bench

import (
	"errors"
	"net/netip"
	"os/exec"
	"time"
)

var errPlatform = errors.New("bench needs Linux: epoll and /proc")

// poller has no implementation here; newPoller says so, and nothing else is reached.
type poller struct{}

func newPoller() (*poller, error) { return nil, errPlatform }

func (p *poller) add(int, int32) error                { return errPlatform }
func (p *poller) modify(int, int32, bool, bool) error { return errPlatform }
func (p *poller) wait(time.Duration) (int, error)     { return 0, errPlatform }
func (p *poller) ready(int) (int32, bool, bool)       { return 0, false, false }
func (p *poller) close()                              {}

func dialSocket(netip.AddrPort, netip.Addr, int) (int, error) { return -1, errPlatform }
func readSocket(int, []byte) (int, bool, error)               { return 0, false, errPlatform }
func writeSocket(int, []byte) (int, bool, error)              { return 0, false, errPlatform }
func closeSocket(int)                                         {}
func raiseDescriptors()                                       {}
func descriptorLimit() int                                    { return 0 }
func ownCPU() time.Duration                                   { return 0 }
func detach(*exec.Cmd)                                        {}
func interruptProcess(cmd *exec.Cmd) error                    { return cmd.Process.Kill() }
func killProcess(cmd *exec.Cmd) error                         { return cmd.Process.Kill() }
