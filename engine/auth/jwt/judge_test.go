package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/session"
)

var (
	secret   = []byte("a secret of a test, 32 bytes long")
	noon     = time.Unix(1_700_000_000, 0)
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { k, _ := rsa.GenerateKey(rand.Reader, rsaBitsMin); return k })
	otherRSA = sync.OnceValue(func() *rsa.PrivateKey { k, _ := rsa.GenerateKey(rand.Reader, rsaBitsMin); return k })
	p256     = sync.OnceValue(func() *ecdsa.PrivateKey { k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader); return k })
	p384     = sync.OnceValue(func() *ecdsa.PrivateKey { k, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader); return k })
	p521     = sync.OnceValue(func() *ecdsa.PrivateKey { k, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader); return k })
	edwards  = sync.OnceValue(func() ed25519.PrivateKey { _, k, _ := ed25519.GenerateKey(rand.Reader); return k })
)

// bench is a Judge with a clock that stands still, and what it told.
type bench struct {
	*Judge
	mu      sync.Mutex
	now     time.Time
	refused []error
}

func newBench(t testing.TB, o Options) *bench {
	t.Helper()
	b := &bench{now: noon}
	o.Now = func() time.Time { b.mu.Lock(); defer b.mu.Unlock(); return b.now }
	o.Events.Refused = func(_ *session.Credentials, err error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.refused = append(b.refused, err)
	}
	var err error
	if b.Judge, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func (b *bench) pass(d time.Duration) { b.mu.Lock(); defer b.mu.Unlock(); b.now = b.now.Add(d) }

// why returns the reason of the last refusal, and forgets it.
func (b *bench) why() (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.refused); n > 0 {
		err = b.refused[n-1]
	}
	b.refused = nil
	return err
}

// ask waits for the answer about a client that has a token for its password.
func (b *bench) ask(token string) auth.Answer {
	return b.askAs(&session.Credentials{ClientID: "c1", UserName: "said", HasUserName: true, Password: []byte(token), HasPassword: true, Addr: "192.0.2.1:5"})
}

func (b *bench) askAs(c *session.Credentials) auth.Answer {
	said := make(chan auth.Answer, 2)
	b.Judge.Judge(c, func(a auth.Answer) { said <- a })
	return <-said
}

// good are claims of a token that is.
func good(more ...map[string]any) gojwt.MapClaims {
	c := gojwt.MapClaims{"sub": "alice", "exp": noon.Add(time.Hour).Unix()}
	for _, m := range more {
		maps.Copy(c, m)
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == "absent" })
	return c
}

func sign(t testing.TB, algorithm string, header map[string]any, c gojwt.Claims, with any) string {
	t.Helper()
	token := gojwt.NewWithClaims(gojwt.GetSigningMethod(algorithm), c)
	maps.Copy(token.Header, header)
	s, err := token.SignedString(with)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hs256 signs anything at all with the secret.
func hs256(header, claims string, with []byte) string {
	text := b64(header) + "." + b64(claims)
	h := hmac.New(sha256.New, with)
	h.Write([]byte(text))
	return text + "." + b64(string(h.Sum(nil)))
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func write(t testing.TB, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pemOf(t testing.TB, kind string, der []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func publicPEM(t testing.TB, keys ...crypto.Signer) (text []byte) {
	t.Helper()
	for _, k := range keys {
		der, err := x509.MarshalPKIXPublicKey(k.Public())
		text = append(text, pemOf(t, "PUBLIC KEY", der, err)...)
	}
	return text
}

// jwkOf describes a public key.
func jwkOf(t testing.TB, id string, public any) map[string]any {
	t.Helper()
	switch k := public.(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "kid": id, "use": "sig", "n": b64(string(k.N.Bytes())), "e": "AQAB"}
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := len(point) / 2
		return map[string]any{"kty": "EC", "kid": id, "crv": k.Params().Name, "x": b64(string(point[1 : 1+half])), "y": b64(string(point[1+half:]))}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "kid": id, "crv": "Ed25519", "x": b64(string(k))}
	case []byte:
		return map[string]any{"kty": "oct", "kid": id, "k": b64(string(k))}
	}
	t.Fatalf("%T", public)
	return nil
}

func jwksOf(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEveryAlgorithmIsVerifiedByItsKey(t *testing.T) {
	private := map[string]any{
		"HS256": secret, "HS384": secret, "HS512": secret,
		"RS256": rsaKey(), "RS384": rsaKey(), "RS512": rsaKey(), "PS256": rsaKey(), "PS384": rsaKey(), "PS512": rsaKey(),
		"ES256": p256(), "ES384": p384(), "ES512": p521(), "EdDSA": edwards(),
	}
	if len(private) != len(algorithms) {
		t.Fatalf("%d algorithms, want %d", len(private), len(algorithms))
	}
	files := newBench(t, Options{Secret: secret, KeyFiles: []string{write(t, publicPEM(t, rsaKey(), p256(), p384(), p521(), edwards()))}})
	set := newBench(t, Options{JWKSFile: write(t, jwksOf(t, jwkOf(t, "h", secret), jwkOf(t, "r", &rsaKey().PublicKey), jwkOf(t, "e2", &p256().PublicKey),
		jwkOf(t, "e3", &p384().PublicKey), jwkOf(t, "e5", &p521().PublicKey), jwkOf(t, "ed", edwards().Public())))})
	kids := map[string]string{"HS": "h", "RS": "r", "PS": "r", "ES256": "e2", "ES384": "e3", "ES512": "e5", "Ed": "ed"}
	for name, k := range private {
		token := sign(t, name, nil, good(), k)
		for _, b := range []*bench{files, set} {
			if a := b.ask(token); a.Opinion != auth.Allow || a.Verdict.UserName != "alice" {
				t.Errorf("%s: %+v: %v", name, a, b.why())
			}
		}
		kid, ok := kids[name[:2]]
		if !ok {
			kid = kids[name]
		}
		if a := set.ask(sign(t, name, map[string]any{"kid": kid}, good(), k)); a.Opinion != auth.Allow {
			t.Errorf("%s with kid %s: %v", name, kid, set.why())
		}
		only := newBench(t, Options{Secret: secret, KeyFiles: files.o.KeyFiles, Algorithms: []string{name}})
		for other := range private {
			if a := only.ask(sign(t, other, nil, good(), private[other])); (a.Opinion == auth.Allow) != (other == name) {
				t.Errorf("%s where only %s is allowed: %v", other, name, a.Opinion)
			}
		}
	}
}

func TestVerdictSaysWhoAndUntilWhen(t *testing.T) {
	token := sign(t, "HS256", nil, good(), secret)
	b := newBench(t, Options{Secret: secret})
	want := session.Verdict{UserName: "alice", Expires: session.Time(noon.Add(time.Hour).UnixMilli())}
	for range 2 {
		if a := b.ask(token); a.Opinion != auth.Allow || a.Verdict != want {
			t.Errorf("%+v", a)
		}
	}
	if s := b.Stats(); s != (Stats{Asked: 2, Cached: 1, Allowed: 2}) {
		t.Errorf("%+v", s)
	}
	if a := newBench(t, Options{Secret: secret, StayConnected: true}).ask(token); a.Verdict.Expires != 0 {
		t.Error("disconnects nevertheless")
	}
	if a := newBench(t, Options{Secret: secret, Leeway: time.Second}).ask(token); a.Verdict.Expires != want.Expires+1000 {
		t.Errorf("expires at %v", a.Verdict.Expires)
	}
}

func TestKnownTokenExpires(t *testing.T) {
	b := newBench(t, Options{Secret: secret, Leeway: time.Minute})
	token := sign(t, "HS256", nil, good(), secret)
	b.ask(token)
	b.pass(time.Hour + 59*time.Second)
	if a := b.ask(token); a.Opinion != auth.Allow || b.Stats().Cached != 1 {
		t.Errorf("%v, %+v", a.Opinion, b.Stats())
	}
	b.pass(time.Second)
	if a := b.ask(token); a.Opinion != auth.Deny || b.why() != ErrExpired {
		t.Errorf("%v", a.Opinion)
	}
}

func TestTokenMayBeTheUserName(t *testing.T) {
	b := newBench(t, Options{Secret: secret, Field: UserName})
	token := sign(t, "HS256", nil, good(), secret)
	a := b.askAs(&session.Credentials{UserName: token, HasUserName: true})
	if a.Opinion != auth.Allow || a.Verdict.UserName != "alice" {
		t.Errorf("%+v", a)
	}
	if a := b.askAs(&session.Credentials{UserName: "bob", HasUserName: true, Password: []byte(token), HasPassword: true}); a.Opinion != auth.NoOpinion {
		t.Errorf("%+v", a)
	}
}

func TestWhatIsNoTokenIsNotJudged(t *testing.T) {
	b := newBench(t, Options{Secret: secret})
	for _, password := range []string{
		"", "e", "hunter2", "a.b.c", "my.pass.word", "eyJhIjoxfQ", "eyJhIjoxfQ.eyJ9", "eyJhIjoxfQ..", "eyJhIjoxfQ..sig", ".eyJ9.x", "eyJhIjoxfQ.e30.x.y", "eyJhIjoxfQ.e30.x.y.z",
		"eyJhIjoxfQ.e30.x=", "eyJhIjoxfQ.e 0.x", "eyJhIjoxfQ.e30.\x00", "W10.e30.x", "eA.e30.x", "ez+.e30.x", strings.Repeat(".", 100),
	} {
		if a := b.ask(password); a.Opinion != auth.NoOpinion {
			t.Errorf("%q: %v", password, a.Opinion)
		}
	}
	if b.Stats() != (Stats{}) {
		t.Errorf("%+v", b.Stats())
	}
}

// TestAttacks is a table of tokens that must not be believed, and why they are not.
func TestAttacks(t *testing.T) {
	const claimsOK = `{"sub":"alice","exp":1700003600}`
	public := publicPEM(t, rsaKey())
	o := Options{Secret: secret, KeyFiles: []string{write(t, public)}, Issuers: []string{"us"}, Audiences: []string{"mqtt"}}
	b := newBench(t, o)
	ours := map[string]any{"iss": "us", "aud": "mqtt"}
	real := sign(t, "RS256", nil, good(ours), rsaKey())
	parts := strings.Split(real, ".")
	forged := parts[0] + "." + b64(`{"sub":"admin","exp":1700003600,"iss":"us","aud":"mqtt"}`) + "." + parts[2]
	der := x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)
	rs := func(header map[string]any) string { return sign(t, "RS256", header, good(ours), otherRSA()) }
	with := func(more map[string]any) string { return sign(t, "HS256", nil, good(ours, more), secret) }
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"alg none":                     {b64(`{"alg":"none"}`) + "." + b64(claimsOK) + ".", ErrSignature},
		"alg None":                     {b64(`{"alg":"None"}`) + "." + b64(claimsOK) + ".", ErrAlgorithm},
		"alg none, signature kept":     {b64(`{"alg":"none"}`) + "." + parts[1] + "." + parts[2], ErrSignature},
		"alg missing":                  {b64(`{"typ":"JWT"}`) + "." + parts[1] + "." + parts[2], ErrAlgorithm},
		"alg a number":                 {b64(`{"alg":5}`) + "." + parts[1] + "." + parts[2], ErrAlgorithm},
		"alg in lower case":            {b64(`{"alg":"rs256"}`) + "." + parts[1] + "." + parts[2], ErrAlgorithm},
		"alg of nobody":                {hs256(`{"alg":"HS1"}`, claimsOK, secret), ErrAlgorithm},
		"alg of another key":           {sign(t, "ES256", nil, good(ours), p256()), ErrUnknownKey},
		"PEM as HMAC secret":           {hs256(`{"alg":"HS256"}`, claimsOK, public), ErrSignature},
		"PEM trimmed as HMAC secret":   {hs256(`{"alg":"HS256"}`, claimsOK, []byte(strings.TrimSpace(string(public)))), ErrSignature},
		"DER as HMAC secret":           {hs256(`{"alg":"HS256"}`, claimsOK, der), ErrSignature},
		"modulus as HMAC secret":       {hs256(`{"alg":"HS256"}`, claimsOK, rsaKey().N.Bytes()), ErrSignature},
		"empty HMAC secret":            {hs256(`{"alg":"HS256"}`, claimsOK, nil), ErrSignature},
		"other claims":                 {forged, ErrSignature},
		"no signature":                 {parts[0] + "." + parts[1] + ".", ErrSignature},
		"short signature":              {parts[0] + "." + parts[1] + "." + parts[2][:len(parts[2])-2-4*4], ErrSignature},
		"signature of another":         {rs(nil), ErrSignature},
		"kid of nobody":                {rs(map[string]any{"kid": "x"}), ErrSignature},
		"kid a path":                   {hs256(`{"alg":"HS256","kid":"../../../dev/null"}`, claimsOK, nil), ErrSignature},
		"kid for a database":           {hs256(`{"alg":"HS256","kid":"' UNION SELECT 'x"}`, claimsOK, []byte("x")), ErrSignature},
		"kid a number":                 {rs(map[string]any{"kid": 1}), ErrHeader},
		"kid null":                     {rs(map[string]any{"kid": nil}), ErrHeader},
		"own key in jwk":               {rs(map[string]any{"jwk": jwkOf(t, "", &otherRSA().PublicKey)}), ErrSignature},
		"own key behind jku":           {rs(map[string]any{"jku": "https://evil.example/keys"}), ErrSignature},
		"own key behind x5u":           {rs(map[string]any{"x5u": "https://evil.example/cert"}), ErrSignature},
		"crit":                         {sign(t, "RS256", map[string]any{"crit": []string{"b64"}, "b64": false}, good(ours), rsaKey()), ErrHeader},
		"expired":                      {with(map[string]any{"exp": noon.Unix()}), ErrExpired},
		"long expired":                 {with(map[string]any{"exp": 1}), ErrExpired},
		"no exp":                       {with(map[string]any{"exp": "absent"}), ErrNoExpiry},
		"exp a string":                 {with(map[string]any{"exp": "1700003600"}), ErrTime},
		"exp null":                     {with(map[string]any{"exp": nil}), ErrTime},
		"exp negative":                 {with(map[string]any{"exp": -1}), ErrTime},
		"exp in milliseconds":          {with(map[string]any{"exp": noon.Add(time.Hour).UnixMilli()}), ErrTime},
		"exp enormous":                 {hs256(`{"alg":"HS256"}`, `{"sub":"alice","exp":1e400}`, secret), ErrTime},
		"nbf in the future":            {with(map[string]any{"nbf": noon.Add(time.Second).Unix()}), ErrNotYet},
		"nbf a string":                 {with(map[string]any{"nbf": "now"}), ErrTime},
		"iat in the future":            {with(map[string]any{"iat": noon.Add(time.Second).Unix()}), ErrNotYet},
		"wrong iss":                    {with(map[string]any{"iss": "them"}), ErrIssuer},
		"no iss":                       {with(map[string]any{"iss": "absent"}), ErrIssuer},
		"wrong aud":                    {with(map[string]any{"aud": "http"}), ErrAudience},
		"wrong auds":                   {with(map[string]any{"aud": []string{"http", "mqtts", ""}}), ErrAudience},
		"no aud":                       {with(map[string]any{"aud": "absent"}), ErrAudience},
		"no sub":                       {with(map[string]any{"sub": "absent"}), ErrUser},
		"sub empty":                    {with(map[string]any{"sub": ""}), ErrUser},
		"sub an object":                {with(map[string]any{"sub": map[string]any{"a": 1}}), ErrUser},
		"sub with a zero":              {with(map[string]any{"sub": "a\x00b"}), ErrUser},
		"rules not valid":              {with(map[string]any{"acl": map[string]any{"pub": "#"}}), ErrACL},
		"rules null":                   {with(map[string]any{"acl": nil}), ErrACL},
		"header not JSON":              {"ey00" + "." + parts[1] + "." + parts[2], ErrMalformed},
		"claims not JSON":              {hs256(`{"alg":"HS256"}`, `hello`, secret), ErrMalformed},
		"claims an array":              {hs256(`{"alg":"HS256"}`, `[]`, secret), ErrMalformed},
		"claims null":                  {hs256(`{"alg":"HS256"}`, `null`, secret), ErrNoExpiry},
		"claims and more":              {hs256(`{"alg":"HS256"}`, claimsOK+claimsOK, secret), ErrMalformed},
		"base64 of an impossible size": {parts[0] + ".a." + parts[2], ErrMalformed},
		"base64 with loose bits":       {parts[0] + "." + parts[1] + "." + parts[2][:len(parts[2])-1] + "_", ErrMalformed},
		"oversize":                     {with(map[string]any{"pad": strings.Repeat("x", TokenBytesMax)}), ErrTooLong},
		"deep":                         {hs256(`{"alg":"HS256"}`, strings.Repeat("[", 5000), secret), ErrMalformed},
	} {
		a := b.ask(test.token)
		if why := b.why(); a.Opinion != auth.Deny || a.Verdict != (session.Verdict{Code: codec.NotAuthorized}) || why != test.want {
			t.Errorf("%s: %+v, because %v, want %v", name, a, why, test.want)
		}
	}
	if a := b.ask(real); a.Opinion != auth.Allow {
		t.Errorf("the real one: %v", b.why())
	}
	if s := b.Stats(); s.Cached != 0 || s.Allowed != 1 {
		t.Errorf("%+v", s)
	}
}

func TestClaims(t *testing.T) {
	for _, test := range []struct {
		name   string
		o      Options
		claims map[string]any
		want   error
		user   string
	}{
		{"no expiry allowed", Options{AllowNoExpiry: true}, map[string]any{"exp": "absent"}, nil, "alice"},
		{"expired, within the leeway", Options{Leeway: time.Minute}, map[string]any{"exp": noon.Unix() - 59}, nil, "alice"},
		{"beyond the leeway", Options{Leeway: time.Minute}, map[string]any{"exp": noon.Unix() - 60}, ErrExpired, ""},
		{"nbf within the leeway", Options{Leeway: time.Minute}, map[string]any{"nbf": noon.Unix() + 60}, nil, "alice"},
		{"nbf beyond", Options{Leeway: time.Minute}, map[string]any{"nbf": noon.Unix() + 61}, ErrNotYet, ""},
		{"fractions of seconds", Options{}, map[string]any{"exp": float64(noon.Unix()) + 0.5}, nil, "alice"},
		{"another claim", Options{UserClaim: "name"}, map[string]any{"name": "bob"}, nil, "bob"},
		{"a path", Options{UserClaim: "realm.user"}, map[string]any{"realm": map[string]any{"user": "carol"}}, nil, "carol"},
		{"a path that leads nowhere", Options{UserClaim: "realm.user"}, map[string]any{"realm": "user"}, ErrUser, ""},
		{"a claim with dots", Options{UserClaim: "https://x.y/user"}, map[string]any{"https://x.y/user": "dora"}, nil, "dora"},
		{"dots below dots", Options{UserClaim: "a.b.c"}, map[string]any{"a.b": map[string]any{"c": "eve"}}, nil, "eve"},
		{"one of several issuers", Options{Issuers: []string{"x", "y"}}, map[string]any{"iss": "y"}, nil, "alice"},
		{"one of several audiences", Options{Audiences: []string{"x", "y"}}, map[string]any{"aud": []string{"z", "y"}}, nil, "alice"},
		{"client id", Options{ClientIDClaim: "cid"}, map[string]any{"cid": "c1"}, nil, "alice"},
		{"client id of another", Options{ClientIDClaim: "cid"}, map[string]any{"cid": "c2"}, ErrRequiredClaim, ""},
		{"no client id", Options{ClientIDClaim: "cid"}, nil, ErrRequiredClaim, ""},
		{"several client ids", Options{ClientIDClaim: "cid"}, map[string]any{"cid": []string{"c0", "c1"}}, nil, "alice"},
		{"client id a number", Options{ClientIDClaim: "cid"}, map[string]any{"cid": []any{1, nil, map[string]any{}}}, ErrRequiredClaim, ""},
		{"required text", Options{RequiredClaims: map[string]string{"tier": "gold"}}, map[string]any{"tier": "gold"}, nil, "alice"},
		{"required text differs", Options{RequiredClaims: map[string]string{"tier": "gold"}}, map[string]any{"tier": "silver"}, ErrRequiredClaim, ""},
		{"required and not there", Options{RequiredClaims: map[string]string{"tier": ""}}, nil, ErrRequiredClaim, ""},
		{"required boolean", Options{RequiredClaims: map[string]string{"ok": "true"}}, map[string]any{"ok": true}, nil, "alice"},
		{"required number", Options{RequiredClaims: map[string]string{"n": "5"}}, map[string]any{"n": 5}, nil, "alice"},
		{"required in a list", Options{RequiredClaims: map[string]string{"roles": "mqtt"}}, map[string]any{"roles": []string{"a", "mqtt"}}, nil, "alice"},
		{"required names", Options{RequiredClaims: map[string]string{"who": "%u@%c"}}, map[string]any{"who": "said@c1"}, nil, "alice"},
		{"required names differ", Options{RequiredClaims: map[string]string{"who": "%u@%c"}}, map[string]any{"who": "said@c2"}, ErrRequiredClaim, ""},
		{"no rules", Options{RequireACL: true}, nil, ErrNoACL, ""},
	} {
		test.o.Secret = secret
		b := newBench(t, test.o)
		for range 2 { // the second time by what is remembered
			a := b.ask(sign(t, "HS256", nil, good(test.claims), secret))
			if why := b.why(); why != test.want || (a.Opinion == auth.Allow) != (test.want == nil) || a.Verdict.UserName != test.user {
				t.Errorf("%s: %+v, %v", test.name, a, why)
			}
		}
	}
}

func TestTemplatesTakeNoNamesFromNobody(t *testing.T) {
	b := newBench(t, Options{Secret: secret, RequiredClaims: map[string]string{"who": "%u"}})
	token := sign(t, "HS256", nil, good(map[string]any{"who": ""}), secret)
	if a := b.askAs(&session.Credentials{ClientID: "c", Password: []byte(token), HasPassword: true}); a.Opinion != auth.Deny {
		t.Errorf("%+v", a)
	}
	// A name that looks like a template is a name.
	b = newBench(t, Options{Secret: secret, RequiredClaims: map[string]string{"who": "%u"}})
	token = sign(t, "HS256", nil, good(map[string]any{"who": "victim"}), secret)
	if a := b.askAs(&session.Credentials{ClientID: "victim", UserName: "%c", HasUserName: true, Password: []byte(token)}); a.Opinion != auth.Deny {
		t.Errorf("%+v", a)
	}
}

func TestRulesOfATokenAreForItsClient(t *testing.T) {
	b := newBench(t, Options{Secret: secret, ACLClaim: "mqtt.rules"})
	claims := good(map[string]any{"mqtt": map[string]any{"rules": map[string]any{"pub": []string{"dev/%c/up"}, "sub": []string{"user/%u/#"}}}})
	a := b.ask(sign(t, "HS256", nil, claims, secret)).Verdict.Authorizer
	if a == nil {
		t.Fatal(b.why())
	}
	who := session.Identity{ClientID: "c1", UserName: "alice"}
	if !a.MayPublish(who, []byte("dev/c1/up")) || a.MayPublish(who, []byte("dev/c2/up")) || !a.MayReceive(who, []byte("user/alice/x")) || a.MayReceive(who, []byte("user/said/x")) {
		t.Error("other rules than those of the token")
	}
	claims["jti"] = "another"
	if b.ask(sign(t, "HS256", nil, claims, secret)).Verdict.Authorizer != a {
		t.Error("the same rules are not shared")
	}
}

func TestReloadForgetsTokensOfOldKeys(t *testing.T) {
	path := write(t, append(secret, '\n'))
	b := newBench(t, Options{SecretFile: path})
	token := sign(t, "HS256", nil, good(), secret)
	if a := b.ask(token); a.Opinion != auth.Allow {
		t.Fatal(b.why())
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Reload(); err == nil || strings.Contains(err.Error(), "short\"") || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	if a := b.ask(token); a.Opinion != auth.Allow {
		t.Error("a reload that fails changes something")
	}
	other := []byte(strings.Repeat("another secret", 4))
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(other)), 0o600); err != nil {
		t.Fatal(err)
	}
	b.o.SecretBase64 = true
	if err := b.Reload(); err != nil {
		t.Fatal(err)
	}
	if a := b.ask(token); a.Opinion != auth.Deny || b.why() != ErrSignature {
		t.Error("good after its key has gone")
	}
	if a := b.ask(sign(t, "HS512", nil, good(), other)); a.Opinion != auth.Allow {
		t.Error(b.why())
	}
}

// TestCloseRefusesWhoWaits holds the only worker in an event, so that others are in line.
func TestCloseRefusesWhoWaits(t *testing.T) {
	in, out := make(chan struct{}), make(chan struct{})
	var once sync.Once
	j, err := New(Options{Secret: secret, Workers: 1, Waiting: 3, Events: Events{Refused: func(_ *session.Credentials, why error) {
		if why == ErrMalformed {
			once.Do(func() { close(in); <-out })
		}
	}}})
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 10)
	ask := func(n int, token string) {
		c := &session.Credentials{Password: []byte(token), Addr: fmt.Sprintf("192.0.2.%d:1", n)}
		j.Judge(c, func(a auth.Answer) { said <- fmt.Sprintf("%d %#x", n, byte(a.Verdict.Code)) })
	}
	token := sign(t, "HS256", nil, good(map[string]any{"exp": time.Now().Add(time.Hour).Unix()}), secret)
	ask(0, "ey00.e30.x")
	<-in
	for n := 1; n <= 4; n++ {
		ask(n, token)
	}
	if got := <-said; got != "4 0x89" || j.Stats().Overloaded != 1 {
		t.Errorf("one too many is told %s", got)
	}
	closed := make(chan struct{})
	go func() { j.Close(); close(closed) }()
	for _, want := range []string{"1 0x88", "2 0x88", "3 0x88"} {
		if got := <-said; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	close(out)
	<-closed
	<-said
	ask(9, token)
	if got := <-said; got != "9 0x88" {
		t.Errorf("after Close: %s", got)
	}
}

func TestNothingSecretIsSaid(t *testing.T) {
	const hidden = "hunter2-hunter2-hunter2-hunter2-hunter2"
	for name, o := range map[string]Options{
		"short secret":   {Secret: []byte(hidden[:20])},
		"base64":         {Secret: []byte(hidden + "*"), SecretBase64: true},
		"secret file":    {SecretFile: write(t, []byte(hidden[:20]))},
		"key file":       {KeyFiles: []string{write(t, []byte(hidden))}},
		"jwks file":      {JWKSFile: write(t, []byte(hidden))},
		"short in a set": {JWKSFile: write(t, jwksOf(t, jwkOf(t, hidden, []byte(hidden[:20]))))},
		"url":            {JWKSURL: "http://user:" + hidden + "@example.com/"},
		"bad url":        {JWKSURL: "http://user:" + hidden + "@%zz/"},
	} {
		j, err := New(o)
		if err == nil {
			j.Close()
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: secret in %q", name, err)
		}
	}
}

func TestKeysRefused(t *testing.T) {
	small := []byte("-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8Qu\nKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==\n-----END PUBLIC KEY-----\n")
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(p256())
	privatePEM := pemOf(t, "PRIVATE KEY", private, err)
	huge := jwkOf(t, "", &rsaKey().PublicKey)
	huge["n"] = b64(strings.Repeat("\xff", rsaBitsMax/8+1))
	even := jwkOf(t, "", &rsaKey().PublicKey)
	even["e"] = b64("\x02")
	wide := jwkOf(t, "", &rsaKey().PublicKey)
	wide["e"] = b64("\x01\x00\x00\x00\x01")
	off := jwkOf(t, "", &p256().PublicKey)
	off["y"] = off["x"]
	short := jwkOf(t, "", &p256().PublicKey)
	short["x"] = "AAAA"
	alg := jwkOf(t, "", &rsaKey().PublicKey)
	alg["alg"] = "HS256"
	withD := jwkOf(t, "", &p256().PublicKey)
	withD["d"] = "AAAA"
	enc := jwkOf(t, "", &rsaKey().PublicKey)
	enc["use"] = "enc"
	wrap := jwkOf(t, "", &rsaKey().PublicKey)
	wrap["key_ops"] = []string{"wrapKey"}
	for name, test := range map[string]struct {
		o    Options
		want string
	}{
		"none":                  {Options{}, "no key to verify"},
		"two secrets":           {Options{Secret: secret, SecretFile: "x"}, "not both"},
		"alg none":              {Options{Secret: secret, Algorithms: []string{"none"}}, `algorithm "none" is not offered`},
		"field":                 {Options{Secret: secret, Field: 2}, "field 2"},
		"negative":              {Options{Secret: secret, Leeway: -1}, "leeway"},
		"many claims":           {Options{Secret: secret, RequiredClaims: manyClaims()}, "more than 32"},
		"short secret":          {Options{Secret: secret[:31]}, "31 bytes"},
		"PEM for a secret":      {Options{SecretFile: write(t, publicPEM(t, rsaKey()))}, "secret is a PEM file"},
		"secret file missing":   {Options{SecretFile: "/no/such/file"}, "/no/such/file"},
		"key file missing":      {Options{KeyFiles: []string{"/no/such/file"}}, "/no/such/file"},
		"jwks file missing":     {Options{JWKSFile: "/no/such/file"}, "/no/such/file"},
		"not PEM":               {Options{KeyFiles: []string{write(t, secret)}}, "no public key"},
		"private key":           {Options{KeyFiles: []string{write(t, privatePEM)}}, "private key"},
		"damaged":               {Options{KeyFiles: []string{write(t, pemOf(t, "PUBLIC KEY", []byte("x"), nil))}}, "damaged"},
		"other PEM":             {Options{KeyFiles: []string{write(t, pemOf(t, "CERTIFICATE REQUEST", []byte("x"), nil))}}, "neither a public key"},
		"RSA of 512 bits":       {Options{KeyFiles: []string{write(t, small)}}, "512 bits"},
		"P-224":                 {Options{KeyFiles: []string{write(t, publicPEM(t, p224))}}, "curve"},
		"too many PEM":          {Options{KeyFiles: []string{write(t, []byte(strings.Repeat(string(publicPEM(t, p256())), KeysMax+1)))}}, "more than 100"},
		"large file":            {Options{JWKSFile: write(t, make([]byte, keyFileBytesMax+1))}, "larger than"},
		"not a set":             {Options{JWKSFile: write(t, []byte(`{}`))}, "not a JWK Set"},
		"empty set":             {Options{JWKSFile: write(t, []byte(`{"keys":[]}`))}, "no key in it"},
		"too many":              {Options{JWKSFile: write(t, jwksOf(t, make([]map[string]any, KeysMax+1)...))}, "more than 100"},
		"not a key":             {Options{JWKSFile: write(t, []byte(`{"keys":[1]}`))}, "key 1: not a JWK"},
		"kid a number":          {Options{JWKSFile: write(t, []byte(`{"keys":[{"kty":"oct","kid":1}]}`))}, "key 1: not a JWK"},
		"RSA of 8200 bits":      {Options{JWKSFile: write(t, jwksOf(t, huge))}, "8200 bits"},
		"even exponent":         {Options{JWKSFile: write(t, jwksOf(t, even))}, "exponent"},
		"large exponent":        {Options{JWKSFile: write(t, jwksOf(t, wide))}, "exponent"},
		"off the curve":         {Options{JWKSFile: write(t, jwksOf(t, off))}, "not on its curve"},
		"short x":               {Options{JWKSFile: write(t, jwksOf(t, short))}, "32 bytes"},
		"alg of another kind":   {Options{JWKSFile: write(t, jwksOf(t, alg))}, "alg does not fit"},
		"private JWK":           {Options{JWKSFile: write(t, jwksOf(t, withD))}, "private key"},
		"for encryption":        {Options{JWKSFile: write(t, jwksOf(t, enc, wrap))}, "no key in it"},
		"kinds that we know no": {Options{JWKSFile: write(t, []byte(`{"keys":[{"kty":"EC","crv":"secp256k1"},{"kty":"OKP","crv":"X25519"},{"kty":"AKP"}]}`))}, "no key in it"},
	} {
		j, err := New(test.o)
		if err == nil {
			j.Close()
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "jwt: ") {
			t.Errorf("%s: %q, want %q", name, err, test.want)
		}
	}
}

func manyClaims() map[string]string {
	m := make(map[string]string)
	for i := range requiredClaimsMax + 1 {
		m[fmt.Sprint(i)] = ""
	}
	return m
}

func TestKeyOfOneAlgorithmVerifiesNoOther(t *testing.T) {
	k := jwkOf(t, "r", &rsaKey().PublicKey)
	k["alg"] = "PS256"
	b := newBench(t, Options{JWKSFile: write(t, jwksOf(t, k))})
	if a := b.ask(sign(t, "PS256", nil, good(), rsaKey())); a.Opinion != auth.Allow {
		t.Error(b.why())
	}
	if a := b.ask(sign(t, "RS256", nil, good(), rsaKey())); a.Opinion != auth.Deny || !errors.Is(b.why(), ErrUnknownKey) {
		t.Error("RS256 by a key for PS256")
	}
}

func TestTokenWithoutKidIsTriedOnFewKeys(t *testing.T) {
	var keys []map[string]any
	for i := range triedMax + 1 {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, jwkOf(t, fmt.Sprint(i), &k.PublicKey))
	}
	keys[triedMax] = jwkOf(t, "last", &p256().PublicKey)
	b := newBench(t, Options{JWKSFile: write(t, jwksOf(t, keys...))})
	if a := b.ask(sign(t, "ES256", nil, good(), p256())); a.Opinion != auth.Deny {
		t.Error("tried on all keys")
	}
	if a := b.ask(sign(t, "ES256", map[string]any{"kid": "last"}, good(), p256())); a.Opinion != auth.Allow {
		t.Error(b.why())
	}
}

// FuzzToken: no panic; what is allowed was signed by us; a token by its look gets an opinion, and nothing else does.
func FuzzToken(f *testing.F) {
	b := newBench(f, Options{Secret: secret, AllowNoExpiry: true})
	real := sign(f, "HS256", nil, good(), secret)
	for _, s := range []string{real, "", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "eyJ9.e30.x", b64(`{"alg":"HS256","kid":"x"}`) + ".e30.AAAA"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, password []byte) {
		a := b.ask(string(password))
		if (a.Opinion == auth.NoOpinion) == looksLikeToken(password) {
			t.Fatalf("%v about %q", a.Opinion, password)
		}
		if a.Opinion == auth.Allow && string(password) != real {
			t.Fatalf("allows %q", password)
		}
	})
}

// FuzzClaims signs whatever claims there are: no panic, and whoever is let in has a name.
func FuzzClaims(f *testing.F) {
	b := newBench(f, Options{Secret: secret, AllowNoExpiry: true, CacheEntries: -1, UserClaim: "a.b", ClientIDClaim: "c", RequiredClaims: map[string]string{"r": "%u"}})
	f.Add(`{"a":{"b":"u"},"c":["c1"],"r":"said","acl":{"pub":["%c"]}}`)
	f.Add(`{"a.b":"u","c":"c1","r":["said",1,null],"exp":1700003600.5,"acl":[{"permission":"allow","action":"all","topic":"#"}]}`)
	f.Add(`{"a":{"b":null},"exp":1e308}`)
	f.Fuzz(func(t *testing.T, text string) {
		a := b.ask(hs256(`{"alg":"HS256"}`, text, secret))
		if a.Opinion == auth.Allow && (a.Verdict.UserName == "" || !codec.ValidString([]byte(a.Verdict.UserName))) || a.Opinion == auth.NoOpinion && text != "" {
			t.Fatalf("%q: %+v", text, a)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	j := newBench(b, Options{Secret: secret, KeyFiles: []string{write(b, publicPEM(b, rsaKey(), p256(), p384(), p521(), edwards()))}, CacheEntries: -1})
	for _, test := range []struct {
		algorithm string
		key       any
	}{{"HS256", secret}, {"RS256", rsaKey()}, {"PS256", rsaKey()}, {"ES256", p256()}, {"ES384", p384()}, {"ES512", p521()}, {"EdDSA", edwards()}} {
		token := sign(b, test.algorithm, nil, good(map[string]any{"acl": map[string]any{"all": []string{"dev/%c/#"}}}), test.key)
		b.Run(test.algorithm, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				said, err := j.verify(token, j.ring.Load())
				if err == nil {
					_, err = j.check(said, noon)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkKnownToken(b *testing.B) {
	j := newBench(b, Options{Secret: secret})
	c := &session.Credentials{ClientID: "c1", Password: []byte(sign(b, "HS256", nil, good(), secret)), HasPassword: true}
	j.askAs(c)
	b.ReportAllocs()
	for b.Loop() {
		j.Judge.Judge(c, func(auth.Answer) {})
	}
}
