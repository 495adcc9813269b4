package codec_test

import (
	"fmt"

	"github.com/gannetmq/gannet/codec"
)

// A reader of a byte stream cuts packets off its front until one is incomplete,
// and keeps the rest until more bytes arrive.
func ExampleNext() {
	var stream []byte
	stream = codec.AppendPingreq(stream)
	stream = codec.AppendPubackShort(stream, codec.TypePuback, 7)
	stream = append(stream, 0x30, 0x05, 0x00) // a PUBLISH of seven bytes has begun

	for {
		f, need, err := codec.Next(stream, 1<<20)
		if err != nil {
			fmt.Println("close:", err)
			return
		}
		if f.Size == 0 {
			fmt.Printf("%v: %d of %d bytes are here\n", f.Type, len(stream), need)
			return
		}
		fmt.Println(f.Type)
		stream = stream[f.Size:]
	}
	// Output:
	// PINGREQ
	// PUBACK
	// PUBLISH: 3 of 7 bytes are here
}

// A server forwards the properties of a message as they came.
func ExampleAppendDelivery() {
	in := codec.Publish{Topic: []byte("kitchen/light"), Payload: []byte("on")}
	in.Properties.ContentType = []byte("text/plain")
	in.Properties.Set(codec.PropContentType)
	f, _, _ := codec.Next(in.Append(nil, codec.V5), 0)

	var p codec.Publish
	if err := p.Parse(codec.V5, f.Flags, f.Body); err != nil {
		fmt.Println("close:", err)
		return
	}
	out := codec.Delivery{Topic: p.Topic, Payload: p.Payload, Passthrough: p.Passthrough, QoS: codec.QoS1, PacketID: 1}
	fmt.Println(out.Size(codec.V311), "bytes for 3.1.1")
	fmt.Println(out.Size(codec.V5), "bytes for 5.0")
	// Output:
	// 21 bytes for 3.1.1
	// 35 bytes for 5.0
}
