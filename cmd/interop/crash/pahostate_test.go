package crash

import (
	"runtime"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// pahoV5State is the state of a Session as the library keeps it, with one of its faults mended. When a PUBREC comes while another goroutine
// of the library notices that the connection is lost, PUBREL is written to a connection that is nil by then, and the panic ends the process
// of the test. The state has PUBREL already, so that the next connection sends it: nothing is lost by taking it for a failed write.
type pahoV5State struct{ *state.State }

// PacketReceived implements session.SessionManager.
func (s pahoV5State) PacketReceived(recv *packets.ControlPacket, published chan<- *packets.Publish) error {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		if err, ok := cause.(runtime.Error); !ok || recv.Type != packets.PUBREC || err.Error() != nilDereference {
			panic(cause)
		}
	}()
	return s.State.PacketReceived(recv, published)
}

const nilDereference = "runtime error: invalid memory address or nil pointer dereference"
