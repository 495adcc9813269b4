package jwt

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// Why a token is refused. None of them shows anything of it.
var (
	ErrTooLong       = errors.New("token is too long")
	ErrMalformed     = errors.New("token cannot be read")
	ErrAlgorithm     = errors.New("algorithm of the token is not allowed")
	ErrHeader        = errors.New("header of the token has something that is not understood")
	ErrUnknownKey    = errors.New("no key of that kid and algorithm")
	ErrNoKeys        = errors.New("keys were not fetched yet")
	ErrSignature     = errors.New("signature of the token is wrong")
	ErrExpired       = errors.New("token has expired")
	ErrNoExpiry      = errors.New("token does not say when it expires")
	ErrNotYet        = errors.New("token is not valid yet")
	ErrTime          = errors.New("time in the token is not one in seconds since 1970")
	ErrIssuer        = errors.New("issuer of the token is not accepted")
	ErrAudience      = errors.New("token is for another audience")
	ErrUser          = errors.New("token has no claim to be the user name")
	ErrRequiredClaim = errors.New("token lacks a claim that is required, or has another value of it")
	ErrACL           = errors.New("rules in the token are not valid")
	ErrNoACL         = errors.New("token has no rules")
	ErrBusy          = errors.New("too many tokens wait to be verified")
)

// claims are those of a token, as they stand there.
type claims map[string]json.RawMessage

// The interface of golang-jwt, of which we use the signature part only: times are checked by ourselves.
func (claims) GetExpirationTime() (*gojwt.NumericDate, error) { return nil, nil }
func (claims) GetIssuedAt() (*gojwt.NumericDate, error)       { return nil, nil }
func (claims) GetNotBefore() (*gojwt.NumericDate, error)      { return nil, nil }
func (claims) GetIssuer() (string, error)                     { return "", nil }
func (claims) GetSubject() (string, error)                    { return "", nil }
func (claims) GetAudience() (gojwt.ClaimStrings, error)       { return nil, nil }

// look finds a claim by its name, or by the path to it: a.b is b in the object a, unless there is a claim a.b.
func (c claims) look(path string) (json.RawMessage, bool) {
	if raw, ok := c[path]; ok {
		return raw, string(raw) != "null"
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		var inner claims
		if raw, ok := c[path[:i]]; ok && json.Unmarshal(raw, &inner) == nil {
			if raw, ok := inner.look(path[i+1:]); ok {
				return raw, true
			}
		}
	}
	return nil, false
}

// values returns the claim as text: a string, number or boolean, or each of an array of them.
func (c claims) values(path string) []string {
	raw, ok := c.look(path)
	if !ok {
		return nil
	}
	if text, ok := scalar(raw); ok {
		return []string{text}
	}
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil {
		return nil
	}
	var all []string
	for _, e := range elements[:min(len(elements), requiredClaimsValues)] {
		if text, ok := scalar(e); ok {
			all = append(all, text)
		}
	}
	return all
}

// scalar returns the text of a string, a number or a boolean.
func scalar(raw json.RawMessage) (string, bool) {
	switch raw[0] {
	case '"':
		var s string
		return s, json.Unmarshal(raw, &s) == nil
	case '{', '[', 'n':
		return "", false
	}
	return string(raw), true
}

// moment returns a NumericDate. ok is false if there is none.
func (c claims) moment(name string) (at time.Time, ok bool, err error) {
	raw, ok := c[name]
	if !ok {
		return at, false, nil
	}
	var seconds float64
	if raw[0] == 'n' || json.Unmarshal(raw, &seconds) != nil || seconds < 0 || seconds > latestSeconds {
		return at, false, ErrTime
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)), true, nil
}

// verified is what is remembered of a token whose signature, times, issuer and audience are good: all that its owner may be asked.
type verified struct {
	ring       *keyring // whose keys it was verified with
	user       string
	clientID   []string            // values of ClientIDClaim
	required   map[string][]string // and of those RequiredClaims that depend on the client
	authorizer session.Authorizer  // nil: that of the listener
	expires    time.Time           // zero = never
}

// check holds the claims against the options.
func (j *Judge) check(c claims, now time.Time) (*verified, error) {
	v := &verified{}
	exp, has, err := c.moment("exp")
	switch {
	case err != nil:
		return nil, err
	case !has && !j.o.AllowNoExpiry:
		return nil, ErrNoExpiry
	case has:
		if v.expires = exp.Add(j.o.Leeway); !v.expires.After(now) {
			return nil, ErrExpired
		}
	}
	for _, name := range []string{"nbf", "iat"} {
		at, has, err := c.moment(name)
		if err != nil {
			return nil, err
		}
		if has && at.Add(-j.o.Leeway).After(now) {
			return nil, ErrNotYet
		}
	}
	if !oneOf(j.o.Issuers, c.values("iss")) {
		return nil, ErrIssuer
	}
	if !oneOf(j.o.Audiences, c.values("aud")) {
		return nil, ErrAudience
	}
	if err := j.take(c, v, now); err != nil {
		return nil, err
	}
	return v, nil
}

func oneOf(accepted, said []string) bool {
	return len(accepted) == 0 || slices.ContainsFunc(said, func(s string) bool { return slices.Contains(accepted, s) })
}

// take fills in who the client is and what it may do.
func (j *Judge) take(c claims, v *verified, now time.Time) error {
	raw, ok := c.look(j.o.UserClaim)
	if ok && raw[0] == '"' {
		v.user, _ = scalar(raw)
	}
	if v.user == "" || !codec.ValidString([]byte(v.user)) || len(v.user) > math.MaxUint16 {
		return ErrUser
	}
	if j.o.ClientIDClaim != "" {
		v.clientID = c.values(j.o.ClientIDClaim)
	}
	for path, want := range j.o.RequiredClaims {
		said := c.values(path)
		if !strings.Contains(want, "%c") && !strings.Contains(want, "%u") {
			if !slices.Contains(said, want) {
				return ErrRequiredClaim
			}
			continue
		}
		if v.required == nil {
			v.required = make(map[string][]string)
		}
		v.required[path] = said
	}
	raw, ok = c.look(j.o.ACLClaim)
	switch {
	case ok:
		var err error
		if v.authorizer, err = j.grants.Read(raw, now); err != nil {
			return ErrACL
		}
	case c[j.o.ACLClaim] != nil: // null says nothing, and is not nothing
		return ErrACL
	case j.o.RequireACL:
		return ErrNoACL
	}
	return nil
}

// fits tells whether a token is for this client: names are compared as a whole, and none that is missing fits.
func (j *Judge) fits(v *verified, c *session.Credentials) bool {
	if j.o.ClientIDClaim != "" && !slices.Contains(v.clientID, c.ClientID) {
		return false
	}
	for path, said := range v.required {
		want := j.o.RequiredClaims[path]
		if strings.Contains(want, "%u") && c.UserName == "" || strings.Contains(want, "%c") && c.ClientID == "" {
			return false
		}
		if !slices.Contains(said, strings.NewReplacer("%c", c.ClientID, "%u", c.UserName).Replace(want)) {
			return false
		}
	}
	return true
}
