package codec

// ParsePing checks a PINGREQ or PINGRESP, which have flags 0 and no body.
func ParsePing(v Version, flags byte, body []byte) error {
	r := reader{rest: body, t: TypePingreq, v: v}
	r.flags(flags, 0)
	return r.end()
}

// AppendPingreq writes a PINGREQ.
func AppendPingreq(dst []byte) []byte {
	return append(dst, byte(TypePingreq)<<4, 0)
}

// AppendPingresp writes a PINGRESP.
func AppendPingresp(dst []byte) []byte {
	return append(dst, byte(TypePingresp)<<4, 0)
}
