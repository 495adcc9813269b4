package bench

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/gannetmq/gannet/codec"
)

// access is how clients present themselves to a broker, and where they come from. It
// is not written to during a run. The zero value is MQTT 3.1.1, anonymous, from
// whatever address the system chooses.
type access struct {
	version        codec.Version // 0: 3.1.1
	prefix         string        // of every Client Identifier
	user, password string        // {n} is the number of the client; empty: none
	sources        []netip.Addr  // taken in turn by the clients; none: the system's choice
	dialing        int           // clients between connecting and CONNACK; 0: as the constant
	rate           float64       // connections begun a second; 0: as many as dialing allows
	first          int           // what {n} is for the first client
}

// expiryDurable is the Session Expiry Interval of durable clients of MQTT 5.0: what
// they leave behind goes away without them.
const expiryDurable = 3600

// receiveMax is the Receive Maximum of a broker that names none [MQTT-3.2.2-21].
const receiveMax = 65535

func (a *access) protocol() codec.Version {
	if a == nil || a.version == 0 {
		return codec.V311
	}
	return a.version
}

// connectRate returns how many connections are begun a second; 0: as many as may be.
func (a *access) connectRate() float64 {
	if a == nil {
		return 0
	}
	return a.rate
}

// source returns the address that client n connects from; the zero Addr leaves it to
// the system.
func (a *access) source(n int) netip.Addr {
	if a == nil || len(a.sources) == 0 {
		return netip.Addr{}
	}
	return a.sources[n%len(a.sources)]
}

// mostDialing returns how many clients may be between connecting and CONNACK.
func (a *access) mostDialing() int {
	if a == nil || a.dialing == 0 {
		return dialing
	}
	return a.dialing
}

// present fills in what a says about client n.
func (a *access) present(p *codec.Connect, n int) {
	p.HasUserName, p.HasPassword = false, false
	if a == nil {
		return
	}
	if p.HasUserName = a.user != ""; p.HasUserName {
		p.UserName = append(p.UserName[:0], numberedText(a.user, a.first+n)...)
	}
	if p.HasPassword = a.password != ""; p.HasPassword {
		p.Password = append(p.Password[:0], numberedText(a.password, a.first+n)...)
	}
}

// numberedText puts a number in the places of {n}.
func numberedText(template string, n int) string {
	if !strings.Contains(template, "{n}") {
		return template
	}
	return strings.ReplaceAll(template, "{n}", strconv.Itoa(n))
}
