package engine

import (
	"errors"
	"net/netip"

	"github.com/gannetmq/gannet/engine/proxy"
)

// proxied reads the PROXY header, if the listener has a proxy before it, and finds out whom the connection is from.
func (g *greeting) proxied() error {
	p := &g.setup.options.Proxy
	if p.Mode == ProxyOff {
		return nil
	}
	if g.peer.IsValid() && len(p.Trusted) > 0 && !p.trusts(g.peer.Addr()) {
		if p.Mode == ProxyOptional {
			return nil // what it sends is for the next layer, even if it looks like a header
		}
		return refusal{refusedProxy, "not a trusted proxy"}
	}
	h, err := g.header(p)
	switch {
	case errors.Is(err, proxy.ErrNoHeader) && p.Mode == ProxyOptional:
		return g.introduce(g.peer.Addr())
	case isRefusal(err):
		return refusal{refusedProxy, err.Error()}
	case err != nil:
		return err
	}
	return g.believe(p, h)
}

// isRefusal tells the errors of package proxy from those of the socket.
func isRefusal(err error) bool {
	var bad *badHeader
	return errors.As(err, &bad)
}

// badHeader is an error of proxy.Parse.
type badHeader struct{ error }

func (b *badHeader) Unwrap() error { return b.error }

// header reads until the header is there, and keeps what follows it for the next layer. After ErrNoHeader that is all
// that was read. What the header holds belongs to the caller.
func (g *greeting) header(p *ProxyOptions) (h proxy.Header, err error) {
	var accept proxy.Versions
	switch p.Version {
	case 1:
		accept = proxy.Version1
	case 2:
		accept = proxy.Version2
	}
	b := make([]byte, 0, proxy.V2BytesMax)
	for {
		n, err := g.read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		h, size, bad := proxy.Parse(b, accept)
		switch {
		case bad != nil:
			g.early = b
			return h, &badHeader{bad}
		case size > 0:
			g.early = b[size:]
			return h, nil
		case err != nil:
			return h, err
		}
	}
}

// believe takes what the header tells about the client for true.
func (g *greeting) believe(p *ProxyOptions, h proxy.Header) error {
	switch {
	case h.Kind == proxy.Local: // a health check of the proxy's own: it is the client
		return g.introduce(g.peer.Addr())
	case p.RequireTLS && !h.TLS.Encrypted():
		return refusal{refusedProxy, "the client came to the proxy without TLS"}
	case p.RequireCertificate && !h.TLS.Verified():
		return refusal{refusedProxy, "the proxy has verified no certificate of the client"}
	}
	o := &origin{listener: g.listener}
	if h.Kind == proxy.TCP {
		o.remote = h.Source.String()
	}
	if p.IdentityFromTLS && h.TLS.Verified() {
		o.userName = usable(string(h.TLS.CommonName))
	}
	g.origin = o
	return g.introduce(h.Source.Addr())
}

// introduce asks whether the client, whose address is known now, may come.
func (g *greeting) introduce(client netip.Addr) error {
	if !g.all.door.welcome(client, g.setup) {
		return refusal{event: refusedAdmit}
	}
	return nil
}
