package bench

// layer is what lies between the packets of one connection and its socket: TLS or
// WebSocket. It does no input or output of its own. It belongs to the loop of its
// client, and every slice is borrowed for the call.
type layer interface {
	// begin appends to wire what the client says first.
	begin(wire []byte) ([]byte, error)
	// open says whether packets may be sent.
	open() bool
	// send appends to wire what carries packets. The layer must be open.
	send(wire, packets []byte) ([]byte, error)
	// receive takes what a read brought. It appends the packets in it to in, and what
	// is to be answered to wire.
	receive(in, wire, raw []byte) (packets, answer []byte, err error)
	// end follows the end of the connection. It may be called at any time.
	end()
}
