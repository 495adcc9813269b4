package jwt

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gannetmq/gannet/engine/session"
)

// Bounds and defaults.
const (
	TokenBytesMax        = 8 << 10 // longer is refused unread
	KeysMax              = 100     // in one JWKS, and in one PEM file
	keyFileBytesMax      = 1 << 20
	jwksBytesMax         = 1 << 20 // of an answer
	secretBytesMin       = 32      // as long as the shortest hash [RFC 7518, 3.2]
	rsaBitsMin           = 2048
	rsaBitsMax           = 8192 // a larger one takes too long
	triedMax             = 8    // keys for a token that names none
	fetchWaitingMax      = 1024 // tokens that wait for a fetch; more are judged by the keys that are there
	RefreshDefault       = time.Hour
	RefreshGapDefault    = 30 * time.Second
	FetchTimeoutDefault  = 5 * time.Second
	UserClaimDefault     = "sub"
	ACLClaimDefault      = "acl"
	cacheWithoutExpiry   = 24 * time.Hour
	latestSeconds        = 253402300799 // the end of the year 9999: a later time is one in milliseconds
	requiredClaimsMax    = 32
	requiredClaimsValues = 64 // of an array that is looked at
)

// Field is where the token is.
type Field uint8

const (
	Password Field = iota
	UserName
)

// Options say which tokens are good. At least one source of keys is needed; everything else has a sensible zero value.
type Options struct {
	Field Field

	Secret       []byte   // of HMAC, at least 32 bytes
	SecretFile   string   // the same in a file; a line break at its end is not part of it
	SecretBase64 bool     // either of them is base64
	KeyFiles     []string // PEM: public keys and certificates
	JWKSFile     string
	JWKSURL      string
	Refresh      time.Duration // between fetches, 0 = RefreshDefault
	RefreshGap   time.Duration // at least between a fetch and the next, whatever the reason, 0 = RefreshGapDefault
	FetchTimeout time.Duration // 0 = FetchTimeoutDefault
	CAFile       string        // of the URL's host: PEM certificates; empty: those of the system
	AllowHTTP    bool          // take keys from an http:// URL of another machine

	Algorithms []string // only these; empty: whatever fits a key

	Issuers        []string          // iss has to be one of them; empty: it may be any
	Audiences      []string          // aud has to have one of them; empty: it may be any
	Leeway         time.Duration     // by which clocks may differ
	AllowNoExpiry  bool              // take tokens without exp
	StayConnected  bool              // do not disconnect clients whose token expires
	UserClaim      string            // the user name: a claim, or a path such as realm.user; empty: UserClaimDefault
	ClientIDClaim  string            // has to be the Client Identifier; empty: none
	RequiredClaims map[string]string // claim, or path, and the value it has to have or contain; %c and %u in it are the names in CONNECT
	ACLClaim       string            // rules for the client; empty: ACLClaimDefault
	RequireACL     bool              // refuse tokens without it; else such clients have the rules of their listener

	Workers      int // verifications at once, 0 = half the cores
	Waiting      int // in line before them, 0 = that of package work; more are refused with 0x89
	CacheEntries int // tokens remembered, 0 = that of package work, negative = none

	Events Events
	Now    func() time.Time // nil: time.Now

	transport http.RoundTripper // instead of the network
}

// Events are told what happens; each may be nil. They are called on goroutines of the Judge, or on an event loop, and must not block.
// What they get has no word of a token, a key or a password in it, Credentials aside.
type Events struct {
	Refused     func(c *session.Credentials, why error) // a token was not good
	Fetched     func(keys int)                          // the first time, and when it works again
	FetchFailed func(err error)                         // once, until it works again
}

// algorithms are those that are served at all.
var algorithms = slices.Concat(hmacAlgorithms, rsaAlgorithms, []string{"ES256", "ES384", "ES512", "EdDSA"})

var (
	hmacAlgorithms = []string{"HS256", "HS384", "HS512"}
	rsaAlgorithms  = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
)

// Validate tells what is wrong with o, as far as that can be seen without opening a file.
func (o *Options) Validate() error {
	if len(o.Secret) == 0 && o.SecretFile == "" && len(o.KeyFiles) == 0 && o.JWKSFile == "" && o.JWKSURL == "" {
		return errors.New("jwt: no key to verify tokens with; give a secret, key files, a JWKS file or a JWKS URL")
	}
	if len(o.Secret) > 0 && o.SecretFile != "" {
		return errors.New("jwt: give a secret or a secret file, not both")
	}
	for _, name := range o.Algorithms {
		if !slices.Contains(algorithms, name) {
			return fmt.Errorf("jwt: algorithm %q is not offered; choose among %s", name, strings.Join(algorithms, " "))
		}
	}
	if len(o.RequiredClaims) > requiredClaimsMax {
		return fmt.Errorf("jwt: more than %d required claims", requiredClaimsMax)
	}
	if o.Field > UserName {
		return fmt.Errorf("jwt: field %d", o.Field)
	}
	for name, d := range map[string]time.Duration{"refresh": o.Refresh, "refresh gap": o.RefreshGap, "fetch time-out": o.FetchTimeout, "leeway": o.Leeway} {
		if d < 0 {
			return fmt.Errorf("jwt: %s of %v", name, d)
		}
	}
	return nil
}

func (o Options) withDefaults() Options {
	if len(o.Algorithms) == 0 {
		o.Algorithms = algorithms
	}
	o.Refresh = cmp.Or(o.Refresh, RefreshDefault)
	o.RefreshGap = cmp.Or(o.RefreshGap, RefreshGapDefault)
	o.FetchTimeout = cmp.Or(o.FetchTimeout, FetchTimeoutDefault)
	o.UserClaim = cmp.Or(o.UserClaim, UserClaimDefault)
	o.ACLClaim = cmp.Or(o.ACLClaim, ACLClaimDefault)
	o.Workers = cmp.Or(o.Workers, max(1, runtime.GOMAXPROCS(0)/2))
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
