package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine"
	"github.com/gannetmq/gannet/engine/broker"
	"github.com/gannetmq/gannet/engine/certs"
	"github.com/gannetmq/gannet/engine/guard"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/engine/websocket"
)

// admission is everything that decides who comes in and what he may do: the guard, the judges, the rules, the certificates. It turns a
// Config into the listeners of the engine, at the start and again at each reload.
//
// A reload has two halves. prepare reads and opens all that the new Config wants, changes nothing, and fails as a whole. What it
// returns is put in force by commit, which cannot fail, reads nothing, and comes before any connection meets the new listeners: a new
// policy never goes with old rules, nor with old demands on certificates. Rules are behind a session.Switch for each place where clients
// connect, so that new ones find those who are connected.
//
// A listener that is gone leaves its clients connected. They are under the rules of the settings it had: those of the broker, or its own
// where another listener has the same. Where none has, nobody can say what the rules should be now, and they stay what they were: those
// of the broker may allow more than the listener ever did. The log says so, and a ban ends such a connection.
type admission struct {
	log      *slog.Logger
	began    time.Time
	hooks    atomic.Pointer[guard.Hooks]
	guard    config.Guard // settings of the guard in hooks
	accesses []*access
	common   *session.Switch       // rules of the whole broker
	rules    map[string]placeRules // of listeners, by place, those of former listeners included: clients are still there
	stores   map[string]*tlsStore  // by place
}

// placeRules are the rules for clients that came in at one place.
type placeRules struct {
	*session.Switch
	x   *access // where they come from
	own bool    // which is not that of the whole broker

	listener string // what the listener was called last
	last     bool   // it is gone, and so are its settings: the rules stay as they are

	anonymous bool // clients need not prove who they are
	judged    bool // but those with a name do
}

// expelled are the clients of one place who have to go because of a reload.
type expelled struct {
	users    map[string]struct{} // whose line in the password file is gone, or another one
	nameless bool                // anonymous ones, who may not come in any more
	named    bool                // those with a name, which nobody had to prove and everybody has to now
}

// tlsStore is the certificates of one listener, and the goroutine that watches their files.
type tlsStore struct {
	*certs.Store
	settings config.TLS
	stop     context.CancelFunc
	joined   sync.WaitGroup
}

func newAdmission(log *slog.Logger) *admission {
	return &admission{
		log: log, began: time.Now(), common: &session.Switch{}, rules: map[string]placeRules{}, stores: map[string]*tlsStore{},
	}
}

// close ends what the admission has started. Nobody is asked any more.
func (a *admission) close() {
	for _, x := range a.accesses {
		x.close()
	}
	for _, s := range a.stores {
		s.close()
	}
}

func (s *tlsStore) close() {
	s.stop()
	s.joined.Wait()
}

// change is a Config that is ready to be put in force.
type change struct {
	listeners []engine.ListenerOptions

	hooks    *guard.Hooks // nil: the old ones go on, with bans
	bans     *guard.Bans
	guard    config.Guard
	accesses []*access
	opened   []*access               // of these, those that are new
	files    map[*access]accessFiles // of those that are not
	rules    map[string]placeRules
	orphaned []string // listeners whose rules nobody has any more
	inForce  []lawful
	expelled map[*session.Switch]expelled // by commit
	stores   map[string]*tlsStore
	fresh    []*tlsStore             // of these, those that are new
	renewed  map[*tlsStore]*tlsStore // what those that are not take over
}

// lawful is a Switch and what it is to be set to.
type lawful struct {
	s *session.Switch
	x *access
}

// prepare opens what c wants. The admission is as before, whatever it returns.
func (a *admission) prepare(c *config.Config) (ch *change, err error) {
	ch = &change{
		guard: c.Guard, files: map[*access]accessFiles{}, rules: map[string]placeRules{},
		stores: map[string]*tlsStore{}, renewed: map[*tlsStore]*tlsStore{},
	}
	defer func() {
		if err != nil {
			ch.giveUp()
			ch = nil
		}
	}()
	if err := a.prepareGuard(c, ch); err != nil {
		return ch, err
	}
	x, err := a.accessOf(&c.Access, ch)
	if err != nil {
		return ch, err
	}
	ch.inForce = append(ch.inForce, lawful{a.common, x})
	for i := range c.Listen {
		o, err := a.listener(c, &c.Listen[i], ch)
		if err != nil {
			return ch, fmt.Errorf("listener %s: %w", c.Listen[i].DisplayName(), err)
		}
		ch.listeners = append(ch.listeners, o)
	}
	for at, rules := range a.rules { // of listeners that are gone
		if _, there := ch.rules[at]; there {
			continue
		}
		if !rules.own {
			rules.x = x
		}
		same := slices.IndexFunc(ch.accesses, func(x *access) bool { return reflect.DeepEqual(x.settings, rules.x.settings) })
		if rules.last = same < 0; !rules.last {
			rules.x = ch.accesses[same]
			ch.inForce = append(ch.inForce, lawful{rules.Switch, rules.x})
		} else if !a.rules[at].last {
			ch.orphaned = append(ch.orphaned, rules.listener)
		}
		ch.rules[at] = rules
	}
	return ch, nil
}

// giveUp closes what prepare has opened.
func (ch *change) giveUp() {
	for _, x := range ch.opened {
		x.close()
	}
	for _, s := range ch.fresh {
		s.close()
	}
}

// commit puts ch in force. What is not wanted any more is closed by the function that it returns, which is called once no new connection
// can ask it.
func (a *admission) commit(ch *change) (closeOld func()) {
	if ch.hooks != nil {
		a.hooks.Store(ch.hooks)
	} else {
		h := a.hooks.Load()
		h.Guard.Swap(ch.bans)
		h.Guard.Forget() // whoever failed because of what is mended now may try again
	}
	ch.expelled = a.expelled(ch)
	for x, f := range ch.files {
		x.take(f)
	}
	for _, l := range ch.inForce {
		l.s.Set(l.x.rules)
	}
	for s, next := range ch.renewed {
		s.Take(next.Store)
		s.settings = next.settings
	}
	for _, s := range ch.fresh {
		a.watch(s)
	}
	oldAccesses, oldStores := a.accesses, a.stores
	a.accesses, a.stores, a.rules, a.guard = ch.accesses, ch.stores, ch.rules, ch.guard
	return func() {
		for _, x := range oldAccesses {
			if !slices.Contains(ch.accesses, x) {
				x.close()
			}
		}
		for place, s := range oldStores {
			if ch.stores[place] != s {
				s.close()
			}
		}
	}
}

// reload puts next in force in a running server, or leaves everything as it was.
func (a *admission) reload(server *engine.Server, next *config.Config) error {
	ch, err := a.prepare(next)
	if err != nil {
		return err
	}
	var closeOld func()
	if err := server.ApplyWith(ch.listeners, func() { closeOld = a.commit(ch) }); err != nil {
		ch.giveUp()
		return err
	}
	server.SetMaxConnections(next.MaxConnections)
	server.Broker().Reconfigure(a.options(next, ch).Broker)
	server.Broker().Review(a.stays(ch.expelled))
	closeOld()
	for _, name := range ch.orphaned {
		a.log.Warn("clients of a listener that is gone stay under the rules it had last", "listener", name)
	}
	return nil
}

// tell logs what became of those who were asked about, as far as there is something to tell.
func (a *admission) tell() {
	g := a.hooks.Load().Guard.Counters()
	args := []any{"failed-logins", g.Failures, "forgotten", g.Evicted, "not-remembered", g.Crowded}
	for r := guard.Admitted + 1; r < guard.Reasons; r++ {
		args = append(args, "by-"+r.String(), g.By[r])
	}
	a.log.Info("the guard counts", args...)
	for _, x := range a.accesses {
		if x.passwords != nil {
			s := x.passwords.Stats()
			a.log.Info("the password file was asked", "file", x.settings.PasswordFile, "asked", s.Asked, "from-memory", s.Cached, "verified", s.Verified,
				"denied", s.Denied, "unknown", s.Unknown, "overloaded", s.Overloaded)
		}
		if x.tokens != nil {
			a.log.Info("tokens were judged", "figures", fmt.Sprintf("%+v", x.tokens.Stats()))
		}
		if x.service != nil {
			a.log.Info("the service was asked", "figures", fmt.Sprintf("%+v", x.service.Stats()))
		}
	}
}

// expelled finds, for each place, who is connected there and could not be any more.
func (a *admission) expelled(ch *change) map[*session.Switch]expelled {
	all := map[*session.Switch]expelled{}
	for at, old := range a.rules {
		next := ch.rules[at]
		file := next.x.file
		if f, again := ch.files[next.x]; again {
			file = f.passwords
		}
		var e expelled
		if old.x.file != nil && file != nil && old.x.file != file {
			e.users = old.x.file.Revoked(file)
		}
		e.nameless = old.anonymous && !next.anonymous
		e.named = !old.judged && (next.judged || !next.anonymous)
		all[old.Switch] = e
	}
	return all
}

// stays is for broker.Review: nobody stays who is on the ban list or expelled from the place where he came in.
func (a *admission) stays(places map[*session.Switch]expelled) broker.Stays {
	return func(who *session.Credentials, tag any) codec.ReasonCode {
		if a.hooks.Load().Banned(who) {
			return codec.AdministrativeAction // Banned is not for DISCONNECT
		}
		place, _ := tag.(*session.Switch)
		e := places[place]
		if _, gone := e.users[who.UserName]; gone || e.named && who.HasUserName || e.nameless && !who.HasUserName {
			return codec.NotAuthorized
		}
		return codec.Success
	}
}

// prepareGuard makes a guard, if its settings are new, and reads its ban list.
func (a *admission) prepareGuard(c *config.Config, ch *change) (err error) {
	g := &c.Guard
	if g.BanFile != "" {
		if ch.bans, err = guard.LoadBans(g.BanFile); err != nil {
			return fmt.Errorf("ban-file: %w", err)
		}
	}
	if a.hooks.Load() != nil && reflect.DeepEqual(a.guard, *g) {
		return nil
	}
	fresh, err := guard.New(guard.Options{
		ConnectRate: g.ConnectRate, ConnectBurst: g.ConnectBurst, AddressFailures: g.AddressFailures, LoginFailures: g.LoginFailures,
		HalfLife: g.HalfLife, FirstBan: g.FirstBan, MaxBan: g.MaxBan, BanHalfLife: g.BanHalfLife,
		FlapConnects: g.FlapConnects, FlapWindow: g.FlapWindow, FlapPause: g.FlapPause,
		Exempt: g.Exempt, Loopback: g.Loopback, MaxTracked: g.MaxTracked,
		Log: func(e guard.Event) {
			a.log.Warn("guard", "reason", e.Reason.String(), "remote", e.Addr, "client", e.ClientID, "user", withoutToken(e.UserName), "why", e.Why, "count", e.Count)
		},
	})
	if err != nil {
		return err
	}
	fresh.Swap(ch.bans)
	ch.hooks = &guard.Hooks{Guard: fresh, Now: a.now}
	return nil
}

// now is the time for the guard, whose ban list has dates in it. It does not go back when the clock of the system is set.
func (a *admission) now() guard.Time {
	return guard.Time(a.began.UnixMilli() + time.Since(a.began).Milliseconds())
}

// withoutToken hides a user name that is a token: with jwt-from = username that is what clients send.
func withoutToken(user string) string {
	if len(user) > 64 && strings.Count(user, ".") == 2 {
		return "(token)"
	}
	return user
}

// options are those of a server that asks the admission, with the listeners of ch.
func (a *admission) options(c *config.Config, ch *change) engine.Options {
	o := engineOptions(c)
	o.Listeners, o.Admit = ch.listeners, a.accept
	o.Broker.TakenOver = a.takenOver
	o.Broker.Session.Authorizer = a.common // of sessions whose client has not come back since the start
	return o
}

// accept is for engine.Options.Admit.
func (a *admission) accept(addr netip.Addr, listener string) bool {
	return a.hooks.Load().Accept(addr, listener)
}

// takenOver is for broker.Options.TakenOver.
func (a *admission) takenOver(clientID, by string) { a.hooks.Load().TakenOver(clientID, by) }

// accessOf finds or opens what the settings ask for.
func (a *admission) accessOf(s *config.Access, ch *change) (*access, error) {
	for _, x := range ch.accesses {
		if reflect.DeepEqual(x.settings, *s) {
			return x, nil
		}
	}
	for _, x := range a.accesses {
		if !reflect.DeepEqual(x.settings, *s) {
			continue
		}
		files, err := x.read(a.log)
		if err != nil {
			return nil, err
		}
		ch.files[x] = files
		ch.accesses = append(ch.accesses, x)
		return x, nil
	}
	x, err := openAccess(s, a.log)
	if err != nil {
		return nil, err
	}
	ch.opened, ch.accesses = append(ch.opened, x), append(ch.accesses, x)
	return x, nil
}

// place names where a listener is: what stays the same when its settings change. Several may ask for any free port of a host; they are
// told apart by their order, as the engine does it.
func (ch *change) place(l *config.Listener) string {
	for n := 1; ; n++ {
		at := fmt.Sprintf("%s %s %s %s %d", l.Address(), l.Socket, l.Interface, l.Family, n)
		if _, taken := ch.rules[at]; !taken {
			return at
		}
	}
}

// listener makes the options of one listener.
func (a *admission) listener(c *config.Config, l *config.Listener, ch *change) (o engine.ListenerOptions, err error) {
	x, err := a.accessOf(c.AccessOf(l), ch)
	if err != nil {
		return o, err
	}
	at := ch.place(l)
	rules := a.rules[at].Switch
	if rules == nil {
		rules = &session.Switch{}
	}
	ch.rules[at] = placeRules{
		Switch: rules, x: x, own: l.Access != nil, listener: l.DisplayName(),
		anonymous: c.Anonymous(*l), judged: c.AccessOf(l).Authenticates() || l.Proves(),
	}
	ch.inForce = append(ch.inForce, lawful{rules, x})
	o = engine.ListenerOptions{
		URL: l.String(), Name: l.DisplayName(), Policy: a.policy(c, l, x, rules, ch.guardHooks(a)), Identity: identity(l.Identity),
		SocketMode: fs.FileMode(l.SocketMode), MaxConnections: l.MaxConnections, Interface: l.Interface, Family: engine.Family(l.Family),
		Proxy: engine.ProxyOptions{
			Mode: engine.ProxyMode(l.Proxy.Mode), Version: l.Proxy.Version, Trusted: l.Proxy.Trusted, RequireTLS: l.Proxy.RequireTLS,
			RequireCertificate: l.Proxy.RequireCert, IdentityFromTLS: l.Proxy.Identity,
		},
	}
	if l.Scheme.WebSocket() {
		o.WebSocket = websocket.Options{Path: l.WebSocket.Path, Origins: l.WebSocket.Origins, HeaderBytesMax: l.WebSocket.HeaderBytes}
	}
	if l.Scheme.TLS() {
		store, err := a.storeOf(l, at, ch)
		if err != nil {
			return o, err
		}
		o.TLS = store.ServerConfig()
	}
	return o, nil
}

// guardHooks are those that will be in force.
func (ch *change) guardHooks(a *admission) *guard.Hooks {
	if ch.hooks != nil {
		return ch.hooks
	}
	return a.hooks.Load()
}

func (a *admission) policy(c *config.Config, l *config.Listener, x *access, rules *session.Switch, h *guard.Hooks) session.Policy {
	s := c.AccessOf(l)
	p := session.Policy{
		AllowAnonymous: c.Anonymous(*l),
		Versions:       versionSet(l.Versions),
		NameAsClientID: l.UseUsernameAsClientID,
		Access:         session.Access{Authorizer: rules, MountPoint: l.MountPoint, DropWills: s.LenientACL, Tag: rules},
		Admit:          h.Admit,
	}
	if prefix := c.ClientIDPrefix; prefix != "" {
		p.Admit = func(c *session.Credentials) codec.ReasonCode {
			if c.Certain && !strings.HasPrefix(c.ClientID, prefix) {
				return codec.NotAuthorized
			}
			return h.Admit(c)
		}
	}
	if l.MaxQoS != nil {
		most := codec.QoS(*l.MaxQoS)
		p.Access.MaxQoS = &most
	}
	p.Access.AliasLimit = l.TopicAliasMaximum
	if s.AllowZeroLengthClientID {
		p.NewClientID = broker.ClientIDs(s.AutoIDPrefix)
	}
	if chain := x.judges(); len(chain) > 0 {
		p.Authenticator = h.Watch(chain)
	}
	if x.scram != nil {
		p.Methods = []session.EnhancedMethod{h.WatchMethod(scramMethod{x.scram})}
	}
	return p
}

func versionSet(versions []byte) session.VersionSet {
	list := make([]codec.Version, len(versions))
	for i, v := range versions {
		list[i] = codec.Version(v)
	}
	return session.Versions(list...)
}

// identity finds the function for a name in certificates.
func identity(i config.Identity) engine.Identity {
	first := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return list[0]
	}
	switch i {
	case config.IdentityNone:
		return nil
	case config.IdentityCN:
		return func(c *x509.Certificate) string { return certs.NamesOf(c).CommonName }
	case config.IdentitySubject:
		return func(c *x509.Certificate) string { return certs.NamesOf(c).Subject }
	case config.IdentityDNS:
		return func(c *x509.Certificate) string { return first(certs.NamesOf(c).DNS) }
	case config.IdentityEmail:
		return func(c *x509.Certificate) string { return first(certs.NamesOf(c).Emails) }
	case config.IdentityURI:
		return func(c *x509.Certificate) string { return first(certs.NamesOf(c).URIs) }
	default:
		panic(fmt.Sprintf("admission: no identity %d", i))
	}
}

// storeOf loads the certificates of a listener. One that was there keeps its store, with the tickets it has given out, unless it judges
// clients otherwise than before: then it gets another one, so that the new policy and the new demands come together.
func (a *admission) storeOf(l *config.Listener, at string, ch *change) (*tlsStore, error) {
	o, warnings, err := certOptions(&l.TLS)
	if err != nil {
		return nil, err
	}
	s, err := certs.Load(o)
	if err != nil {
		return nil, err
	}
	for _, w := range append(warnings, s.Warnings()...) {
		a.log.Warn("certificates", "listener", l.DisplayName(), "warning", w)
	}
	fresh := &tlsStore{Store: s, settings: l.TLS, stop: func() {}}
	if old := a.stores[at]; old != nil && demandsOf(&old.settings) == demandsOf(&l.TLS) {
		ch.stores[at], ch.renewed[old] = old, fresh
		return old, nil
	}
	ch.stores[at], ch.fresh = fresh, append(ch.fresh, fresh)
	return fresh, nil
}

// demandsOf is what a listener demands of clients' certificates.
func demandsOf(t *config.TLS) string {
	return fmt.Sprintf("%d %q %q %q %t", t.ClientCert, t.CAFile, t.CAPath, t.CRLFiles, t.AllowExpiredCRL)
}

// watch follows the files of s until it is closed.
func (a *admission) watch(s *tlsStore) {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.joined.Go(func() {
		s.Watch(ctx, 0, func(e certs.Event) {
			switch {
			case e.Err != nil:
				a.log.Error("certificates not read again, the old ones stay", "reason", e.Err)
			case e.Reloaded:
				a.log.Info("certificates read again")
			}
			for _, w := range e.Warnings {
				a.log.Warn("certificates", "warning", w)
			}
			for _, x := range e.Expiring {
				a.log.Warn("certificate expires", "certificate", x.String())
			}
		})
	})
}

func certOptions(t *config.TLS) (o certs.Options, warnings []string, err error) {
	o = certs.Options{
		CAFile: t.CAFile, CAPath: t.CAPath, CRLFiles: t.CRLFiles, AllowExpiredCRL: t.AllowExpiredCRL,
		Clients: certs.ClientCertificates(t.ClientCert), NoTickets: t.NoTickets,
	}
	for i := range t.CertFiles {
		o.Pairs = append(o.Pairs, certs.Pair{CertFile: t.CertFiles[i], KeyFile: t.KeyFiles[i]})
	}
	for _, v := range []struct {
		text string
		to   *uint16
	}{{t.MinVersion, &o.MinVersion}, {t.MaxVersion, &o.MaxVersion}} {
		if v.text == "" {
			continue
		}
		if *v.to, err = certs.ParseVersion(v.text); err != nil {
			return o, nil, err
		}
	}
	if t.Ciphers != "" {
		if o.CipherSuites, warnings, err = certs.ParseCiphers(t.Ciphers); err != nil {
			return o, nil, fmt.Errorf("ciphers: %w", err)
		}
	}
	return o, warnings, o.Validate()
}
