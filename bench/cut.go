package bench

import (
	"encoding/binary"
	"fmt"

	"github.com/gannetmq/gannet/codec"
)

// This file takes packets apart that come by the million. codec would do it, and check
// every byte on the way; a loader need not.

// cutPublish takes a PUBLISH apart. All is borrowed from f. id is 0 with QoS 0.
//
//	topic length:2 │ topic │ id:2 with QoS 1, 2 │ properties in 5.0 │ payload
func cutPublish(v codec.Version, f codec.Frame) (topic []byte, id uint16, payload []byte, err error) {
	b := f.Body
	if len(b) < 2 {
		return nil, 0, nil, fmt.Errorf("PUBLISH of %d bytes", f.Size)
	}
	at := 2 + int(binary.BigEndian.Uint16(b))
	end := at
	if f.Flags&0x06 != 0 {
		at += 2
	}
	if len(b) < at {
		return nil, 0, nil, fmt.Errorf("PUBLISH of %d bytes with a topic of %d", f.Size, end-2)
	}
	if at > end {
		id = binary.BigEndian.Uint16(b[end:])
	}
	topic, b = b[2:end], b[at:]
	if v == codec.V5 {
		if b, err = skipProperties(b); err != nil {
			return nil, 0, nil, err
		}
	}
	return topic, id, b, nil
}

// skipProperties cuts the properties off b.
func skipProperties(b []byte) ([]byte, error) {
	n := 0
	for i, c := range b[:min(len(b), 4)] {
		n |= int(c&0x7F) << (7 * i)
		if c < 0x80 {
			if n > len(b)-i-1 {
				break
			}
			return b[i+1+n:], nil
		}
	}
	return nil, fmt.Errorf("PUBLISH with properties of %d bytes in %d", n, len(b))
}

// cutAck takes a PUBACK, PUBREC, PUBREL or PUBCOMP apart. refused is set by the reason
// codes of 5.0 that mean failure.
func cutAck(v codec.Version, f codec.Frame) (id uint16, refused bool, err error) {
	if len(f.Body) < 2 || len(f.Body) > 2 && v != codec.V5 {
		return 0, false, fmt.Errorf("%s of %d bytes", f.Type, f.Size)
	}
	return binary.BigEndian.Uint16(f.Body), len(f.Body) > 2 && f.Body[2] >= 0x80, nil
}
