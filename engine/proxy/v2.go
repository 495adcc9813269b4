package proxy

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"unicode/utf8"
)

const v2Signature = "\r\n\r\n\x00\r\nQUIT\n"

const (
	v2Version    = 0x20
	v2FixedBytes = 16
)

// Commands.
const (
	cmdLocal = 0
	cmdProxy = 1
)

// Address family and protocol in one byte.
const (
	famNone = 0x00
	famTCP4 = 0x11
	famTCP6 = 0x21
	famUnix = 0x31
)

// unixPathBytes is how long a path is in the header, padded with zeros.
const unixPathBytes = 108

// Types of TLVs. Others are skipped.
const (
	typeALPN      = 0x01
	typeAuthority = 0x02
	typeCRC32C    = 0x03
	typeUniqueID  = 0x05
	typeTLS       = 0x20

	typeTLSVersion = 0x21 // those inside of typeTLS
	typeTLSName    = 0x22
	typeTLSCipher  = 0x23
)

const uniqueIDBytesMax = 128

// parseV2 reads b, which begins with v2Signature.
func parseV2(b []byte) (h Header, n int, err error) {
	h.Version = 2
	const command, family, length = 12, 13, 14
	if len(b) <= command {
		return h, 0, nil
	}
	local := b[command] == v2Version|cmdLocal
	if !local && b[command] != v2Version|cmdProxy {
		return h, 0, errCommand
	}
	if len(b) <= family {
		return h, 0, nil
	}
	addresses, known := addressBytes(b[family])
	if !known && !local {
		return h, 0, errProtocol
	}
	if len(b) > length && v2FixedBytes+int(b[length])<<8 > V2BytesMax {
		return h, 0, ErrTooLong
	}
	if len(b) < v2FixedBytes {
		return h, 0, nil
	}
	size := v2FixedBytes + int(binary.BigEndian.Uint16(b[length:]))
	switch {
	case size > V2BytesMax:
		return h, 0, ErrTooLong
	case !local && size < v2FixedBytes+addresses:
		return h, 0, errTruncated
	case len(b) < size:
		return h, 0, nil
	case local:
		h.Kind = Local
		return h, size, nil
	}
	h.addresses(b[family], b[v2FixedBytes:])
	if err := h.tlvs(b[:size], v2FixedBytes+addresses); err != nil {
		return h, 0, err
	}
	return h, size, nil
}

// addressBytes is how many bytes the addresses of a family take.
func addressBytes(family byte) (n int, known bool) {
	switch family {
	case famNone:
		return 0, true
	case famTCP4:
		return 4 + 4 + 2 + 2, true
	case famTCP6:
		return 16 + 16 + 2 + 2, true
	case famUnix:
		return 2 * unixPathBytes, true
	}
	return 0, false
}

func (h *Header) addresses(family byte, b []byte) {
	switch family {
	case famNone:
		h.Kind = Unknown
	case famTCP4:
		h.Kind = TCP
		h.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), binary.BigEndian.Uint16(b[8:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:])), binary.BigEndian.Uint16(b[10:]))
	case famTCP6:
		h.Kind = TCP
		h.Source = addrPort(netip.AddrFrom16([16]byte(b)), binary.BigEndian.Uint16(b[32:]))
		h.Destination = addrPort(netip.AddrFrom16([16]byte(b[16:])), binary.BigEndian.Uint16(b[34:]))
	case famUnix:
		h.Kind = Unix
		h.SourcePath, _, _ = bytes.Cut(b[:unixPathBytes], []byte{0})
		h.DestinationPath, _, _ = bytes.Cut(b[unixPathBytes:2*unixPathBytes], []byte{0})
	}
}

// kinds are the types of TLVs that have been there, of those that are looked at.
type kinds uint64

// again adds kind and tells whether it was there before.
func (k *kinds) again(kind byte) bool {
	switch kind {
	case typeALPN, typeAuthority, typeCRC32C, typeUniqueID, typeTLS, typeTLSVersion, typeTLSName, typeTLSCipher:
		bit := kinds(1) << kind
		before := *k&bit != 0
		*k |= bit
		return before
	}
	return false
}

// cutTLV takes the first TLV off b.
func cutTLV(b []byte) (kind byte, value, rest []byte, ok bool) {
	const overhead = 3
	if len(b) < overhead {
		return 0, nil, nil, false
	}
	end := overhead + int(binary.BigEndian.Uint16(b[1:]))
	if len(b) < end {
		return 0, nil, nil, false
	}
	return b[0], b[overhead:end:end], b[end:], true
}

// tlvs reads those in whole, the header, which begin at from.
func (h *Header) tlvs(whole []byte, from int) error {
	var seen kinds
	for rest := whole[from:]; len(rest) > 0; {
		kind, value, after, ok := cutTLV(rest)
		switch {
		case !ok:
			return errTruncated
		case seen.again(kind):
			return errRepeated
		}
		switch kind {
		case typeALPN:
			h.ALPN = value
		case typeAuthority:
			if h.Authority = value; !isText(value) {
				return errText
			}
		case typeUniqueID:
			if h.UniqueID = value; len(value) > uniqueIDBytesMax {
				return errUniqueID
			}
		case typeCRC32C:
			if len(value) != 4 {
				return errTruncated
			}
			if checksum(whole, len(whole)-len(after)-4) != binary.BigEndian.Uint32(value) {
				return errChecksum
			}
		case typeTLS:
			if err := h.TLS.parse(value); err != nil {
				return err
			}
		}
		rest = after
	}
	return nil
}

func (t *TLS) parse(b []byte) error {
	if len(b) < 5 {
		return errTruncated
	}
	t.Flags, t.Verify = TLSFlags(b[0]), binary.BigEndian.Uint32(b[1:])
	var seen kinds
	for rest := b[5:]; len(rest) > 0; {
		kind, value, after, ok := cutTLV(rest)
		switch {
		case !ok:
			return errTruncated
		case seen.again(kind):
			return errRepeated
		}
		var field *[]byte
		switch kind {
		case typeTLSVersion:
			field = &t.Version
		case typeTLSName:
			field = &t.CommonName
		case typeTLSCipher:
			field = &t.Cipher
		}
		if field != nil {
			if *field = value; !isText(value) {
				return errText
			}
		}
		rest = after
	}
	return nil
}

// checksum is the CRC-32C of a header whose own checksum, the four bytes at at, counts as zero.
func checksum(header []byte, at int) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, header[:at])
	sum = crc32.Update(sum, table, make([]byte, 4))
	return crc32.Update(sum, table, header[at+4:])
}

// isText: UTF-8 without control characters.
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7F {
			return false
		}
	}
	return utf8.Valid(b)
}

// AppendV2 adds a header of version 2 with everything that h tells, and with a checksum if asked to. It panics when a
// field is longer than its length can say, or all of it is longer than V2BytesMax. A path is cut at 108 bytes.
func AppendV2(dst []byte, h *Header, withChecksum bool) []byte {
	from := len(dst)
	dst = append(dst, v2Signature...)
	switch h.Kind {
	case Local:
		return append(dst, v2Version|cmdLocal, famNone, 0, 0)
	case TCP:
		source, destination := sameFamily(h)
		family := byte(famTCP6)
		if source.Is4() {
			family = famTCP4
		}
		dst = append(dst, v2Version|cmdProxy, family, 0, 0)
		dst = append(append(dst, source.AsSlice()...), destination.AsSlice()...)
		dst = binary.BigEndian.AppendUint16(dst, h.Source.Port())
		dst = binary.BigEndian.AppendUint16(dst, h.Destination.Port())
	case Unix:
		dst = append(dst, v2Version|cmdProxy, famUnix, 0, 0)
		for _, path := range [][]byte{h.SourcePath, h.DestinationPath} {
			var padded [unixPathBytes]byte
			copy(padded[:], path)
			dst = append(dst, padded[:]...)
		}
	default:
		dst = append(dst, v2Version|cmdProxy, famNone, 0, 0)
	}
	dst = appendTLV(dst, typeALPN, h.ALPN)
	dst = appendTLV(dst, typeAuthority, h.Authority)
	dst = appendTLV(dst, typeUniqueID, h.UniqueID)
	if t := &h.TLS; t.Flags != 0 {
		parts := binary.BigEndian.AppendUint32([]byte{byte(t.Flags)}, t.Verify)
		parts = appendTLV(parts, typeTLSVersion, t.Version)
		parts = appendTLV(parts, typeTLSName, t.CommonName)
		parts = appendTLV(parts, typeTLSCipher, t.Cipher)
		dst = appendTLV(dst, typeTLS, parts)
	}
	if withChecksum {
		dst = appendTLV(dst, typeCRC32C, make([]byte, 4))
	}
	header := dst[from:]
	if len(header) > V2BytesMax {
		panic("proxy: a header longer than V2BytesMax")
	}
	binary.BigEndian.PutUint16(header[14:], uint16(len(header)-v2FixedBytes))
	if withChecksum {
		at := len(header) - 4
		binary.BigEndian.PutUint32(header[at:], checksum(header, at))
	}
	return dst
}

// appendTLV adds a TLV unless its value is empty.
func appendTLV(dst []byte, kind byte, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	if len(value) > 0xFFFF {
		panic("proxy: a value longer than 65 535 bytes")
	}
	return append(binary.BigEndian.AppendUint16(append(dst, kind), uint16(len(value))), value...)
}
