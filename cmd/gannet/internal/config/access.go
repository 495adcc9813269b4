package config

import (
	"reflect"
	"slices"
	"time"
)

// Access is who may connect and what clients may do: that of the whole broker,
// or that of one listener. It is a value; its slices are never changed in place.
type Access struct {
	AllowAnonymous          Choice
	AllowZeroLengthClientID bool
	AutoIDPrefix            string // of invented Client Identifiers

	PasswordFile string // as mosquitto_passwd writes it; empty: none
	ACLFile      string // as mosquitto reads it; empty: none
	ScramUsers   string // path; empty: no user file

	// LenientACL is how mosquitto takes its ACL file: a SUBSCRIBE that can bring nothing is granted, and a Will that may not be
	// published is dropped, instead of saying no.
	LenientACL bool

	JWT  JWT
	HTTP HTTP

	// Order is in which order the judges are asked; names of Judges. Those that are
	// not configured are passed over.
	Order []string
}

// JWT says which tokens are taken. Without a key it is off.
type JWT struct {
	SecretFile      string // HMAC key, as it stands in the file
	Secret          string // HMAC key; secret
	SecretBase64    bool   // the HMAC key is written in base64
	KeyFiles        []string
	JWKSFile        string
	JWKSURL         string
	JWKSRefresh     time.Duration
	Algorithms      []string // empty: all that fit the keys
	From            string   // "password" or "username"
	Issuers         []string // empty: any
	Audiences       []string // empty: any
	UserClaim       string   // path with dots
	ClientIDClaim   string   // empty: not compared
	ACLClaim        string   // empty: none
	RequiredClaims  []string // claim=value, with %c and %u
	Leeway          time.Duration
	AllowNoExpiry   bool
	StayAfterExpiry bool // a client stays connected when its token has run out
}

// On reports whether tokens are taken.
func (j *JWT) On() bool {
	return j.SecretFile != "" || j.Secret != "" || len(j.KeyFiles) > 0 || j.JWKSFile != "" || j.JWKSURL != ""
}

// HTTP says which service is asked who a client is. Without a URL it is off.
type HTTP struct {
	URL         string
	ACLURL      string
	Method      string // "json", "form" or "get"
	Headers     []string
	CAFile      string
	CertFile    string
	KeyFile     string
	AllowPlain  bool
	Connections int
	Waiting     int // questions
	Timeout     time.Duration
	AllowTTL    time.Duration
	DenyTTL     time.Duration
	OnFailure   string // "deny" or "ignore"
}

// On reports whether a service is asked.
func (h *HTTP) On() bool { return h.URL != "" }

// Judges are the names that Access.Order may hold, in the order of the default.
func Judges() []string { return []string{"password", "jwt", "http"} }

func defaultAccess() Access {
	return Access{
		AllowZeroLengthClientID: true,
		AutoIDPrefix:            "auto-",
		Order:                   Judges(),
		JWT:                     JWT{JWKSRefresh: time.Hour, From: "password", UserClaim: "sub", Leeway: 30 * time.Second},
		HTTP: HTTP{
			Method: "json", Connections: 16, Waiting: 1024, Timeout: 3 * time.Second,
			AllowTTL: time.Minute, DenyTTL: 5 * time.Second, OnFailure: "deny",
		},
	}
}

// Authenticates reports whether anybody could prove who he is.
func (a *Access) Authenticates() bool {
	return a.PasswordFile != "" || a.ScramUsers != "" ||
		(a.JWT.On() && slices.Contains(a.Order, "jwt")) || (a.HTTP.On() && slices.Contains(a.Order, "http"))
}

func (a *Access) equal(b *Access) bool { return reflect.DeepEqual(a, b) }

// AccessOf is the access of l: its own, or that of the whole broker.
func (c *Config) AccessOf(l *Listener) *Access {
	if l.Access != nil {
		return l.Access
	}
	return &c.Access
}
