package config

import (
	"errors"
	"math"
	"strings"
	"time"
)

// accessSettings returns the table of access in the order of --help. The broker has each of them, and a listener may.
func accessSettings() []setting[Access] {
	return []setting[Access]{
		{groupListeners, "allow-anonymous", choice(func(a *Access) *Choice { return &a.AllowAnonymous }),
			"Whether a client may connect without authentication. Unset: yes on a loopback listener while there is no way " +
				"to authenticate, otherwise no.",
			"CONNECT is refused with 0x87 Not authorized."},
		{groupListeners, "allow-zero-length-clientid", boolean(func(a *Access) *bool { return &a.AllowZeroLengthClientID }),
			"Whether a client may leave its Client Identifier to the server.",
			"CONNECT is refused with 0x85 Client Identifier not valid."},
		{groupListeners, "auto-id-prefix", plain("PREFIX", func(a *Access) *string { return &a.AutoIDPrefix }),
			"What an invented Client Identifier begins with.", ""},
		{groupListeners, "password-file", text("FILE", func(a *Access) *string { return &a.PasswordFile }),
			"Users and their passwords, as gannet passwd and mosquitto_passwd write them.",
			"CONNECT is refused with 0x87 Not authorized."},
		{groupListeners, "acl-file", text("FILE", func(a *Access) *string { return &a.ACLFile }),
			"What clients may publish and receive, as mosquitto has it in acl_file. Without one, everything.",
			"PUBLISH: 0x87 Not authorized, and the message goes nowhere; deliveries are left out."},
		{groupListeners, "acl-strict", negated(func(a *Access) *bool { return &a.LenientACL }),
			"Whether a SUBSCRIBE that could bring nothing, and a CONNECT with a Will that may not be published, are refused; otherwise they are " +
				"granted, as by mosquitto, and nothing comes of them.", ""},
		{groupListeners, "scram-users", text("FILE", func(a *Access) *string { return &a.ScramUsers }),
			"Users for SCRAM-SHA-256 (MQTT 5.0 enhanced authentication), as gannet passwd --scram writes them, a line each: " +
				"USER:SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY.", ""},
		{groupListeners, "auth-order", words(Judges(), true, func(a *Access) *[]string { return &a.Order }),
			"Order in which password-file, tokens and the HTTP service are asked. The first that knows the client decides.", ""},

		{groupTokens, "jwt-secret-file", text("FILE", func(a *Access) *string { return &a.JWT.SecretFile }),
			"File with the key of HMAC tokens (HS256, HS384, HS512).", ""},
		{groupTokens, "jwt-secret", hidden(text("SECRET", func(a *Access) *string { return &a.JWT.Secret })),
			"That key itself. A file is better: other users of the machine can see flags and variables.", ""},
		{groupTokens, "jwt-secret-base64", boolean(func(a *Access) *bool { return &a.JWT.SecretBase64 }),
			"Whether that key is written in base64.", ""},
		{groupTokens, "jwt-key-file", texts("FILE", nil, func(a *Access) *[]string { return &a.JWT.KeyFiles }),
			"Public keys or certificates, PEM, of tokens signed with RSA, ECDSA or Ed25519.", ""},
		{groupTokens, "jwt-jwks-file", text("FILE", func(a *Access) *string { return &a.JWT.JWKSFile }),
			"A JSON Web Key Set.", ""},
		{groupTokens, "jwt-jwks-url", address(text("URL", func(a *Access) *string { return &a.JWT.JWKSURL })),
			"Where a JSON Web Key Set is fetched.", "The keys that are there stay when it cannot be fetched."},
		{groupTokens, "jwt-jwks-refresh", duration(time.Second, 365*day, func(a *Access) *time.Duration { return &a.JWT.JWKSRefresh }),
			"How often it is fetched. A token with an unknown key has it fetched earlier.", ""},
		{groupTokens, "jwt-algorithms", words(algorithms(), false, func(a *Access) *[]string { return &a.JWT.Algorithms }),
			"Algorithms that are taken; otherwise all that fit the keys.", ""},
		{groupTokens, "jwt-from", oneOf([]string{"password", "username"}, func(a *Access) *string { return &a.JWT.From }),
			"Field of CONNECT that has the token.", ""},
		{groupTokens, "jwt-issuer", texts("NAME", nil, func(a *Access) *[]string { return &a.JWT.Issuers }),
			"Issuers that are trusted; otherwise any with the right key.", ""},
		{groupTokens, "jwt-audience", texts("NAME", nil, func(a *Access) *[]string { return &a.JWT.Audiences }),
			"Audiences of which a token must have one.", ""},
		{groupTokens, "jwt-user-claim", text("CLAIM", func(a *Access) *string { return &a.JWT.UserClaim }),
			"Claim that becomes the user name, such as sub or realm.user; none: what CONNECT says stands.", ""},
		{groupTokens, "jwt-clientid-claim", text("CLAIM", func(a *Access) *string { return &a.JWT.ClientIDClaim }),
			"Claim that must equal the Client Identifier.", ""},
		{groupTokens, "jwt-acl-claim", text("CLAIM", func(a *Access) *string { return &a.JWT.ACLClaim }),
			"Claim that says what the client may publish and receive.", ""},
		{groupTokens, "jwt-require", texts("CLAIM=VALUE", checkClaim, func(a *Access) *[]string { return &a.JWT.RequiredClaims }),
			"Claims that a token must have; %c stands for the Client Identifier and %u for the user name.", ""},
		{groupTokens, "jwt-leeway", duration(0, time.Hour, func(a *Access) *time.Duration { return &a.JWT.Leeway }),
			"How far the clock of an issuer may be off.", ""},
		{groupTokens, "jwt-require-expiry", negated(func(a *Access) *bool { return &a.JWT.AllowNoExpiry }),
			"Whether a token must have an end.", ""},
		{groupTokens, "jwt-disconnect", negated(func(a *Access) *bool { return &a.JWT.StayAfterExpiry }),
			"Whether a client is disconnected, with 0x87 Not authorized, when its token ends.", ""},

		{groupService, "http-url", address(text("URL", func(a *Access) *string { return &a.HTTP.URL })),
			"Where a service says who a client is.", ""},
		{groupService, "http-acl-url", address(text("URL", func(a *Access) *string { return &a.HTTP.ACLURL })),
			"Where it says, once for each login, what the client may do; otherwise that is part of its first answer.", ""},
		{groupService, "http-method", oneOf([]string{"json", "form", "get"}, func(a *Access) *string { return &a.HTTP.Method }),
			"How it is asked: POST with JSON or with a form, or GET.", ""},
		{groupService, "http-header", hidden(texts("NAME:VALUE", checkHeader, func(a *Access) *[]string { return &a.HTTP.Headers })),
			"Headers of each request.", ""},
		{groupService, "http-cafile", text("FILE", func(a *Access) *string { return &a.HTTP.CAFile }),
			"Authorities that sign the certificate of the service, PEM; otherwise those of the system.", ""},
		{groupService, "http-certfile", text("FILE", func(a *Access) *string { return &a.HTTP.CertFile }),
			"Certificate that the service is shown, PEM.", ""},
		{groupService, "http-keyfile", text("FILE", func(a *Access) *string { return &a.HTTP.KeyFile }),
			"The key of http-certfile.", ""},
		{groupService, "http-allow-plain", boolean(func(a *Access) *bool { return &a.HTTP.AllowPlain }),
			"Whether http:// to another machine is allowed, which sends passwords unprotected.", ""},
		{groupService, "http-connections", whole("N", 1, 1024, func(a *Access) *int { return &a.HTTP.Connections }),
			"Connections to the service, and questions under way.", "Further questions wait."},
		{groupService, "http-waiting", whole("N", 1, math.MaxInt32, func(a *Access) *int { return &a.HTTP.Waiting }),
			"Questions that wait.", "CONNECT is refused with 0x89 Server busy."},
		{groupService, "http-timeout", duration(100*time.Millisecond, time.Minute, func(a *Access) *time.Duration { return &a.HTTP.Timeout }),
			"Time for one answer.", "It counts as a failure of the service."},
		{groupService, "http-allow-ttl", duration(0, day, func(a *Access) *time.Duration { return &a.HTTP.AllowTTL }),
			"How long a yes is remembered, if the service says nothing about it; 0s: not at all.", ""},
		{groupService, "http-deny-ttl", duration(0, day, func(a *Access) *time.Duration { return &a.HTTP.DenyTTL }),
			"How long a no is remembered; 0s: not at all.", ""},
		{groupService, "http-on-failure", oneOf([]string{"deny", "ignore"}, func(a *Access) *string { return &a.HTTP.OnFailure }),
			"What a service that does not answer means: CONNECT is refused with 0x88 Server unavailable, or the next in auth-order is asked.", ""},
	}
}

func algorithms() []string {
	return []string{"EdDSA", "ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"}
}

func checkClaim(text string) error {
	if name, _, found := strings.Cut(text, "="); !found || name == "" {
		return errors.New("not of the form CLAIM=VALUE")
	}
	return nil
}

// checkHeader does not repeat the text: it may be a secret.
func checkHeader(text string) error {
	if name, _, found := strings.Cut(text, ":"); !found || name == "" || strings.ContainsAny(text, "\r\n") {
		return errors.New("not of the form NAME:VALUE")
	}
	return nil
}
