package codec

// Subscribe is a SUBSCRIBE packet.
type Subscribe struct {
	PacketID   uint16
	Properties Properties
	Filters    []Subscription // at least one; the slice is used again by the next Parse
}

// Subscription is one Topic Filter with its Subscription Options. Only QoS exists
// before 5.0.
type Subscription struct {
	Filter            []byte // a valid string, not necessarily a valid Topic Filter
	QoS               QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte // 0, 1 or 2
}

// The Subscription Options byte.
//
//	bit  7 6        5 4              3                    2         1 0
//	     reserved   Retain Handling  Retain As Published  No Local  QoS
const (
	optionQoS               = 0x03
	optionNoLocal           = 0x04
	optionRetainAsPublished = 0x08
	optionRetainHandling    = 0x30
	optionReserved5         = 0xc0
	optionReserved3         = 0xfc

	optionRetainHandlingShift = 4
)

// filtersMax is how many entries of the Filters slices Parse keeps for its next
// call. A slice that one odd packet made longer is let go.
const filtersMax = 1 << 10

// Parse reads a SUBSCRIBE. The syntax of a Topic Filter is not judged, because
// that is answered filter by filter; ValidTopicFilter and SplitShare do it.
func (p *Subscribe) Parse(v Version, flags byte, body []byte) error {
	p.Filters = reuse(p.Filters, filtersMax)
	p.Properties.Reset()
	r := reader{rest: body, t: TypeSubscribe, v: v}
	r.flags(flags, pubrelFlags)

	p.PacketID = r.packetID()
	if v == V5 {
		p.Properties.parse(&r, TypeSubscribe, nil)
	}
	for len(r.rest) > 0 {
		s := Subscription{Filter: r.text(&textFilter)}
		s.parseOptions(&r)
		p.Filters = append(p.Filters, s)
	}
	if len(p.Filters) == 0 {
		r.fail(faultNoFilters.in(v)) // 3.1.1 [MQTT-3.8.3-3], 5.0 [MQTT-3.8.3-2]
	}
	return r.result()
}

func (s *Subscription) parseOptions(r *reader) {
	options := r.byte()
	s.QoS = QoS(options & optionQoS)
	reserved := byte(optionReserved3)
	if r.v == V5 {
		reserved = optionReserved5
	}
	if options&reserved != 0 {
		r.fail(faultReservedOptions.in(r.v)) // 3.1.1 [MQTT-3.8.3-4], 5.0 [MQTT-3.8.3-5]
	}
	if s.QoS > QoS2 {
		r.fail(faultRequestedQoS.in(r.v)) // 3.1.1 [MQTT-3.8.3-4]
	}
	if r.v != V5 {
		return
	}
	s.NoLocal = options&optionNoLocal != 0
	s.RetainAsPublished = options&optionRetainAsPublished != 0
	s.RetainHandling = options & optionRetainHandling >> optionRetainHandlingShift
	if s.RetainHandling > 2 {
		r.fail(faultRetainHandling.in(r.v))
	}
	if s.NoLocal {
		if _, _, shared, _ := SplitShare(s.Filter); shared {
			r.fail(faultNoLocalShared.in(r.v)) // [MQTT-3.8.3-4]
		}
	}
}

// Append writes the packet.
func (p *Subscribe) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, TypeSubscribe, pubrelFlags)
	dst = appendUint16(dst, p.PacketID)
	if v == V5 {
		dst = p.Properties.append(dst, TypeSubscribe)
	}
	for i := range p.Filters {
		s := &p.Filters[i]
		dst = append(appendBytes(dst, s.Filter), s.options(v))
	}
	return seal(dst, at)
}

// options builds the Subscription Options byte.
func (s *Subscription) options(v Version) byte {
	options := byte(s.QoS)
	if v != V5 {
		return options
	}
	if s.NoLocal {
		options |= optionNoLocal
	}
	if s.RetainAsPublished {
		options |= optionRetainAsPublished
	}
	return options | s.RetainHandling<<optionRetainHandlingShift
}
