package engine

import "syscall"

// Large packets. gnet reads at most readBufferBytes at a time, into a buffer of the loop that stays where the processor has it at
// hand; a larger one would not. What a packet of many times that size needs is to be read where it shall lie in the end, and
// the broker knows where that is, and how much is missing, as soon as it has seen the beginning. So when gnet's read was full, which
// says that there is more, the loop reads what is missing itself, from the descriptor. It reads no byte that belongs to the
// next packet, and whatever such a read finds wrong gnet's next one finds, too: sockets are watched level-triggered, and the
// end of a stream stays at its end.
//
// This is the reading side of connections without layers. What TLS protects must be decrypted, and a frame unmasked, and
// the one copy that costs is the one that is saved here.

// readOnBytes bounds what is read from one connection before the others have their turn.
const readOnBytes = 512 << 10

// readOn reads the rest of a large packet of c, as far as it has arrived.
func (l *loop) readOn(c *conn) {
	for budget := readOnBytes; budget > 0 && c.peer != nil && c.sock != nil; {
		room := l.core.Room(c.peer)
		room = room[:min(len(room), budget)]
		if len(room) == 0 {
			return
		}
		n := transferred(func() (int, error) { return syscall.Read(int(c.fd), room) }) // does not wait; 0 at the end, too
		if n <= 0 {
			return
		}
		budget -= n
		l.core.Received(c.peer, n, l.now)
		if n < len(room) {
			return
		}
	}
}
