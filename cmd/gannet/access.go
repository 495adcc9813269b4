package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/auth/acl"
	"github.com/gannetmq/gannet/engine/auth/jwt"
	"github.com/gannetmq/gannet/engine/auth/password"
	"github.com/gannetmq/gannet/engine/auth/webhook"
	"github.com/gannetmq/gannet/engine/session"
)

// access is what the settings of one config.Access open: everybody who is asked about clients. It is shared by the listeners that have the
// same settings.
type access struct {
	settings  config.Access
	file      *password.File  // that passwords has; nil: none
	passwords *password.Judge // nil where the settings have none, and so below
	tokens    *jwt.Judge
	service   *webhook.Judge
	scram     *auth.Scram
	rules     session.Authorizer // of the ACL file
}

// accessFiles are the files that may change while the settings do not.
type accessFiles struct {
	passwords *password.File
	users     *auth.Users
	rules     session.Authorizer
	takeKeys  func() // of tokens; nil: none
}

// read reads the files of x again, all of them, or says which one is wrong.
func (x *access) read(log *slog.Logger) (f accessFiles, err error) {
	if f, err = readAccessFiles(&x.settings, log); err == nil && x.tokens != nil {
		f.takeKeys, err = x.tokens.ReadKeys()
	}
	return f, err
}

// readAccessFiles reads all but keys of tokens.
func readAccessFiles(a *config.Access, log *slog.Logger) (f accessFiles, err error) {
	if a.PasswordFile != "" {
		if f.passwords, err = password.Load(a.PasswordFile); err != nil {
			return f, fmt.Errorf("password-file: %w", err)
		}
		for _, w := range f.passwords.Warnings() {
			log.Warn("password file", "warning", w)
		}
	}
	if a.ScramUsers != "" {
		if f.users, err = auth.LoadUsers(a.ScramUsers); err != nil {
			return f, fmt.Errorf("scram-users: %w", err)
		}
	}
	if a.ACLFile != "" {
		list, err := acl.Load(a.ACLFile)
		if err != nil {
			return f, fmt.Errorf("acl-file: %w", err)
		}
		if f.rules = list; !a.LenientACL {
			f.rules = list.Strict()
		}
	}
	return f, nil
}

// openAccess opens everything anew. The judges it starts end with close.
func openAccess(a *config.Access, log *slog.Logger) (*access, error) {
	files, err := readAccessFiles(a, log)
	if err != nil {
		return nil, err
	}
	x := &access{settings: *a, rules: files.rules, file: files.passwords}
	if files.users != nil {
		x.scram = auth.NewScram(files.users, auth.ScramConfig{})
	}
	if a.JWT.On() {
		if x.tokens, err = jwt.New(jwtOptions(&a.JWT, log)); err != nil {
			return nil, err
		}
	}
	if a.HTTP.On() {
		if x.service, err = webhook.New(webhookOptions(&a.HTTP, log)); err != nil {
			x.close()
			return nil, err
		}
	}
	if files.passwords != nil {
		followed := x.followsPasswords()
		x.passwords = password.New(files.passwords, password.Options{Followed: followed})
	}
	return x, nil
}

// take puts other files in force, and forgets what was found out before.
func (x *access) take(f accessFiles) {
	if x.passwords != nil {
		x.passwords.Swap(f.passwords)
		x.file = f.passwords
	}
	if x.scram != nil {
		x.scram.SetUsers(f.users)
	}
	x.rules = f.rules
	if x.service != nil {
		x.service.Forget()
	}
	if f.takeKeys != nil {
		f.takeKeys()
	}
}

func (x *access) close() {
	if x.passwords != nil {
		x.passwords.Close()
	}
	if x.tokens != nil {
		x.tokens.Close()
	}
	if x.service != nil {
		x.service.Close()
	}
}

// judges lists who is asked, in the order of the settings.
func (x *access) judges() (chain auth.Chain) {
	for _, name := range x.settings.Order {
		switch {
		case name == "password" && x.passwords != nil:
			chain = append(chain, x.passwords)
		case name == "jwt" && x.tokens != nil:
			chain = append(chain, x.tokens)
		case name == "http" && x.service != nil:
			chain = append(chain, x.service)
		}
	}
	return chain
}

// followsPasswords tells whether another judge is asked after the password file.
func (x *access) followsPasswords() bool {
	at := slices.Index(x.settings.Order, "password")
	for _, name := range x.settings.Order[at+1:] {
		if name == "jwt" && x.tokens != nil || name == "http" && x.service != nil {
			return true
		}
	}
	return false
}

func jwtOptions(s *config.JWT, log *slog.Logger) jwt.Options {
	o := jwt.Options{
		Secret: []byte(s.Secret), SecretFile: s.SecretFile, SecretBase64: s.SecretBase64,
		KeyFiles: s.KeyFiles, JWKSFile: s.JWKSFile, JWKSURL: s.JWKSURL, Refresh: s.JWKSRefresh,
		Algorithms: s.Algorithms, Issuers: s.Issuers, Audiences: s.Audiences, Leeway: s.Leeway,
		AllowNoExpiry: s.AllowNoExpiry, StayConnected: s.StayAfterExpiry,
		UserClaim: s.UserClaim, ClientIDClaim: s.ClientIDClaim, ACLClaim: s.ACLClaim, RequiredClaims: make(map[string]string),
		Events: jwt.Events{
			Refused: func(c *session.Credentials, why error) {
				log.Debug("token refused", "client", c.ClientID, "remote", c.Addr, "listener", c.Listener, "reason", why)
			},
			Fetched:     func(keys int) { log.Info("keys of tokens fetched", "keys", keys) },
			FetchFailed: func(err error) { log.Error("keys of tokens not fetched, the old ones stay", "reason", err) },
		},
	}
	if s.From == "username" {
		o.Field = jwt.UserName
	}
	for _, claim := range s.RequiredClaims {
		name, value, _ := strings.Cut(claim, "=")
		o.RequiredClaims[name] = value
	}
	return o
}

func webhookOptions(s *config.HTTP, log *slog.Logger) webhook.Options {
	o := webhook.Options{
		URL: s.URL, RulesURL: s.ACLURL, Header: make(map[string]string), CAFile: s.CAFile, CertFile: s.CertFile, KeyFile: s.KeyFile,
		AllowHTTP: s.AllowPlain, Connections: s.Connections, Waiting: s.Waiting, Timeout: s.Timeout,
		AllowTTL: orNever(s.AllowTTL), DenyTTL: orNever(s.DenyTTL),
		Events: webhook.Events{
			Failed: func(err error) { log.Error("authentication service failed", "reason", err) },
			Opened: func() { log.Error("authentication service is not asked for a while") },
			Closed: func() { log.Info("authentication service works again") },
		},
	}
	for _, header := range s.Headers {
		name, value, _ := strings.Cut(header, ":")
		o.Header[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	switch s.Method {
	case "form":
		o.Format = webhook.Form
	case "get":
		o.Format = webhook.Query
	}
	if s.OnFailure == "ignore" {
		o.Down = webhook.Ignore
	}
	return o
}

// orNever turns a length of time that the settings write as 0 into one that means never.
func orNever(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}
