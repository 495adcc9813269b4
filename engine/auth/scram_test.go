package auth

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// The example of RFC 7677 section 3: user "user", password "pencil".
const (
	rfcClientNonce = "rOprNGfwEbeRWgbNEkqO"
	rfcServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	rfcNonce       = rfcClientNonce + rfcServerNonce
	rfcSalt        = "W22ZaJ0SNY7soEsUEjb6gQ=="
	rfcBare        = "n=user,r=" + rfcClientNonce
	rfcServerFirst = "r=" + rfcNonce + ",s=" + rfcSalt + ",i=4096"
	rfcProof       = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	rfcClientFinal = "c=biws,r=" + rfcNonce + ",p=" + rfcProof
	rfcServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
)

func rfcMethod(t testing.TB) *Scram {
	t.Helper()
	credential, err := ParseCredential(rfcVerifier)
	if err != nil {
		t.Fatal(err)
	}
	return NewScram(usersOf(t, map[string]Credential{"user": credential}), ScramConfig{
		Nonce:  func() string { return rfcServerNonce },
		Secret: []byte("a secret of the tests"),
	})
}

func credentialOf(t testing.TB, password string, iterations int, salt []byte) Credential {
	t.Helper()
	credential, err := NewCredential(password, iterations, salt)
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

func usersOf(t testing.TB, credentials map[string]Credential) *Users {
	t.Helper()
	var file []byte
	for name, credential := range credentials {
		file = append(file, name+":"...)
		file = append(credential.Append(file), '\n')
	}
	users, err := ReadUsers("users", bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return users
}

// wantChallenge steps with a message that must be answered and leave the exchange open.
func wantChallenge(t testing.TB, e Exchange, message string) string {
	t.Helper()
	reply, done, code := e.Step([]byte(message))
	if done || code != codec.Success {
		t.Fatalf("Step(%q) = done %v, code %#x; want a challenge", message, done, byte(code))
	}
	return string(reply)
}

// wantRefusal steps with a message that must end the exchange with code.
func wantRefusal(t testing.TB, e Exchange, message string, want codec.ReasonCode) {
	t.Helper()
	reply, done, code := e.Step([]byte(message))
	if reply != nil || done || code != want {
		t.Fatalf("Step(%q) = %q, done %v, code %#x; want no reply and code %#x", message, reply, done, byte(code), byte(want))
	}
	if e.Identity() != "" {
		t.Fatalf("identity %q after a refusal", e.Identity())
	}
}

// login runs a whole exchange and returns the identity and the code it ended with.
func login(t testing.TB, method Method, client *ScramClient) (identity string, code codec.ReasonCode) {
	t.Helper()
	e := method.Begin("a-client", "")
	message, err := client.First()
	if err != nil {
		t.Fatal(err)
	}
	reply, done, code := e.Step(message)
	if code != codec.Success {
		return e.Identity(), code
	}
	if done {
		t.Fatal("done after client-first")
	}
	if message, err = client.Final(reply); err != nil {
		t.Fatal(err)
	}
	reply, done, code = e.Step(message)
	if code != codec.Success {
		return e.Identity(), code
	}
	if !done {
		t.Fatal("not done after client-final")
	}
	if err := client.Verify(reply); err != nil {
		t.Fatal(err)
	}
	return e.Identity(), code
}

func TestScramServerFollowsTheExampleOfRFC7677(t *testing.T) {
	e := rfcMethod(t).Begin("a-client", "somebody else")
	if got := wantChallenge(t, e, "n,,"+rfcBare); got != rfcServerFirst {
		t.Fatalf("server-first\n got %s\nwant %s", got, rfcServerFirst)
	}
	if e.Identity() != "" {
		t.Fatalf("identity %q before the proof", e.Identity())
	}
	reply, done, code := e.Step([]byte(rfcClientFinal))
	if string(reply) != rfcServerFinal || !done || code != codec.Success {
		t.Fatalf("server-final %q, done %v, code %#x; want %q", reply, done, byte(code), rfcServerFinal)
	}
	if e.Identity() != "user" {
		t.Fatalf("identity %q, want user", e.Identity())
	}
}

func TestScramAsksOnceForAMissingClientFirst(t *testing.T) {
	e := rfcMethod(t).Begin("a-client", "")
	if reply, done, code := e.Step(nil); reply != nil || done || code != codec.Success {
		t.Fatalf("Step(nil) = %q, %v, %#x; want an empty challenge", reply, done, byte(code))
	}
	if got := wantChallenge(t, e, "n,,"+rfcBare); got != rfcServerFirst {
		t.Fatalf("server-first %q", got)
	}

	e = rfcMethod(t).Begin("a-client", "")
	wantChallenge(t, e, "")
	wantRefusal(t, e, "", codec.MalformedPacket)
}

func TestScramDoesNotKeepTheBytesItIsGiven(t *testing.T) {
	e := rfcMethod(t).Begin("a-client", "")
	data := []byte("n,," + rfcBare)
	reply, _, _ := e.Step(data)
	clear(data)
	clear(reply)
	if _, done, _ := e.Step([]byte(rfcClientFinal)); !done || e.Identity() != "user" {
		t.Fatal("the exchange was disturbed by its caller's buffers")
	}
}

func TestScramRefusesClientFirst(t *testing.T) {
	const tail = ",r=" + rfcClientNonce
	tests := []struct {
		name, message string
		want          codec.ReasonCode
	}{
		{"channel binding by type", "p=tls-unique,," + rfcBare, codec.BadAuthenticationMethod},
		{"channel binding by exporter", "p=tls-exporter,," + rfcBare, codec.BadAuthenticationMethod},
		{"mandatory extension", "n,,m=x," + rfcBare, codec.BadAuthenticationMethod},
		{"mandatory extension at the end", "n,," + rfcBare + ",m=x", codec.BadAuthenticationMethod},
		{"to act for somebody else", "n,a=admin," + rfcBare, codec.NotAuthorized},
		{"to act for a name that is not allowed", "n,a=\x01," + rfcBare, codec.NotAuthorized},
		{"unknown flag", "x,," + rfcBare, codec.MalformedPacket},
		{"no flag", ",," + rfcBare, codec.MalformedPacket},
		{"long flag", "nn,," + rfcBare, codec.MalformedPacket},
		{"no gs2 header", rfcBare, codec.MalformedPacket},
		{"authorization id without a name", "n,user," + rfcBare, codec.MalformedPacket},
		{"empty authorization id", "n,a=," + rfcBare, codec.MalformedPacket},
		{"bad escape in authorization id", "n,a=us=er," + rfcBare, codec.MalformedPacket},
		{"nothing after the header", "n,,", codec.MalformedPacket},
		{"no user name", "n,,r=" + rfcClientNonce, codec.MalformedPacket},
		{"empty user name", "n,,n=" + tail, codec.MalformedPacket},
		{"user name of nothing but invisible characters", "n,,n=\u00ad" + tail, codec.MalformedPacket},
		{"user name with a control character", "n,,n=us\x07er" + tail, codec.MalformedPacket},
		{"user name in both directions", "n,,n=a\u05d0" + tail, codec.MalformedPacket},
		{"bare equals sign", "n,,n=us=er" + tail, codec.MalformedPacket},
		{"lower case escape", "n,,n=us=2cer" + tail, codec.MalformedPacket},
		{"half an escape", "n,,n=user=2" + tail, codec.MalformedPacket},
		{"escape of another character", "n,,n=us=41er" + tail, codec.MalformedPacket},
		{"not utf-8", "n,,n=us\xffer" + tail, codec.MalformedPacket},
		{"null character", "n,,n=us\x00er" + tail, codec.MalformedPacket},
		{"no nonce", "n,,n=user", codec.MalformedPacket},
		{"empty nonce", "n,,n=user,r=", codec.MalformedPacket},
		{"space in nonce", "n,,n=user,r=a b", codec.MalformedPacket},
		{"nonce not ascii", "n,,n=user,r=a\u00e9", codec.MalformedPacket},
		{"nonce before user", "n,,r=" + rfcClientNonce + ",n=user", codec.MalformedPacket},
		{"trailing comma", "n,," + rfcBare + ",", codec.MalformedPacket},
		{"extension without a name", "n,," + rfcBare + ",=x", codec.MalformedPacket},
		{"extension named by a digit", "n,," + rfcBare + ",1=x", codec.MalformedPacket},
		{"extension without a value", "n,," + rfcBare + ",x=", codec.MalformedPacket},
		{"too many attributes", "n,," + rfcBare + strings.Repeat(",x=y", scramAttributesMax), codec.MalformedPacket},
		{"too long", "n,," + rfcBare + strings.Repeat("r", scramMessageBytesMax), codec.MalformedPacket},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := rfcMethod(t).Begin("a-client", "user")
			wantRefusal(t, e, test.message, test.want)
			wantRefusal(t, e, "n,,"+rfcBare, codec.ProtocolError)
		})
	}
}

func TestScramAcceptsClientFirst(t *testing.T) {
	for name, message := range map[string]string{
		"client that could bind a channel": "y,," + rfcBare,
		"authorization id is the user":     "n,a=user," + rfcBare,
		"unknown extension":                "n,," + rfcBare + ",x=a=b",
	} {
		t.Run(name, func(t *testing.T) {
			if got := wantChallenge(t, rfcMethod(t).Begin("a-client", ""), message); got != rfcServerFirst {
				t.Fatalf("server-first %q", got)
			}
		})
	}
}

func TestScramRefusesClientFinal(t *testing.T) {
	const head = "c=biws,r=" + rfcNonce
	other := strings.Replace(rfcProof, "dHzb", "dHzc", 1)
	tests := []struct {
		name, message string
		want          codec.ReasonCode
	}{
		{"wrong proof", head + ",p=" + other, codec.NotAuthorized},
		{"right proof of another message", head + ",x=y,p=" + rfcProof, codec.NotAuthorized},
		{"another channel binding flag", "c=eSws,r=" + rfcNonce + ",p=" + rfcProof, codec.NotAuthorized},
		{"channel binding not repeated", "c=AAAA,r=" + rfcNonce + ",p=" + rfcProof, codec.NotAuthorized},
		{"nonce of the client alone", "c=biws,r=" + rfcClientNonce + ",p=" + rfcProof, codec.NotAuthorized},
		{"nonce longer", "c=biws,r=" + rfcNonce + "x,p=" + rfcProof, codec.NotAuthorized},
		{"mandatory extension", head + ",m=x,p=" + rfcProof, codec.BadAuthenticationMethod},
		{"nothing", "", codec.MalformedPacket},
		{"client-first again", "n,," + rfcBare, codec.MalformedPacket},
		{"no proof", head, codec.MalformedPacket},
		{"no proof but an extension", head + ",x=y", codec.MalformedPacket},
		{"proof not last", head + ",p=" + rfcProof + ",x=y", codec.MalformedPacket},
		{"empty proof", head + ",p=", codec.MalformedPacket},
		{"short proof", head + ",p=AAAA", codec.MalformedPacket},
		{"proof not base64", head + ",p=" + strings.Replace(rfcProof, "d", "!", 1), codec.MalformedPacket},
		{"proof without padding", head + ",p=" + strings.TrimSuffix(rfcProof, "="), codec.MalformedPacket},
		{"proof with stray bits", head + ",p=" + strings.Replace(rfcProof, "VQ=", "VR=", 1), codec.MalformedPacket},
		{"proof with a line break", head + ",p=" + rfcProof + "\n", codec.MalformedPacket},
		{"no channel binding", "r=" + rfcNonce + ",p=" + rfcProof, codec.MalformedPacket},
		{"no nonce", "c=biws,x=y,p=" + rfcProof, codec.MalformedPacket},
		{"other order", "r=" + rfcNonce + ",c=biws,p=" + rfcProof, codec.MalformedPacket},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := rfcMethod(t).Begin("a-client", "user")
			wantChallenge(t, e, "n,,"+rfcBare)
			wantRefusal(t, e, test.message, test.want)
			wantRefusal(t, e, rfcClientFinal, codec.ProtocolError)
		})
	}
}

// A Client that knows the password must still repeat its gs2 header and the nonce of this very exchange.
func TestScramRefusesAFittingProofOverOtherParameters(t *testing.T) {
	salt, _ := decodeBase64(rfcSalt, saltBytesMax)
	clientKey, _, err := stretch("pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		withoutProof string
		want         codec.ReasonCode
	}{
		"as it should be":              {"c=biws,r=" + rfcNonce, codec.Success},
		"with an extension":            {"c=biws,r=" + rfcNonce + ",x=y", codec.Success},
		"another channel binding flag": {"c=eSws,r=" + rfcNonce, codec.NotAuthorized},
		"header not base64":            {"c=n==,r=" + rfcNonce, codec.NotAuthorized},
		"nonce of the client alone":    {"c=biws,r=" + rfcClientNonce, codec.NotAuthorized},
		"nonce of another exchange":    {"c=biws,r=" + rfcNonce + "x", codec.NotAuthorized},
	} {
		t.Run(name, func(t *testing.T) {
			e := rfcMethod(t).Begin("a-client", "")
			challenge := wantChallenge(t, e, "n,,"+rfcBare)
			proof := prove(&clientKey, []byte(rfcBare+","+challenge+","+test.withoutProof))
			message := test.withoutProof + ",p=" + encodeChannelBinding(string(proof[:]))
			if test.want != codec.Success {
				wantRefusal(t, e, message, test.want)
				return
			}
			if _, done, code := e.Step([]byte(message)); !done || code != codec.Success || e.Identity() != "user" {
				t.Fatalf("done %v, code %#x", done, byte(code))
			}
		})
	}
}

func TestScramStepAfterSuccessTakesTheIdentityBack(t *testing.T) {
	e := rfcMethod(t).Begin("a-client", "")
	wantChallenge(t, e, "n,,"+rfcBare)
	if _, done, _ := e.Step([]byte(rfcClientFinal)); !done {
		t.Fatal("not done")
	}
	wantRefusal(t, e, rfcClientFinal, codec.ProtocolError)
}

func TestScramClientAndServerAgree(t *testing.T) {
	salt := []byte("salt of a test")
	method := NewScram(usersOf(t, map[string]Credential{
		"alice":            credentialOf(t, "wonderland", IterationsMin, salt),
		"a,b=c=2C:d":       credentialOf(t, "comma, equals=", IterationsMin+1, nil),
		"I\u00adX":         credentialOf(t, "\u2168", IterationsMin, salt),
		"\u05d0\u05d1":     credentialOf(t, "\u0627\u0031\u0628", IterationsMin, salt),
		"\u7528\u6237 one": credentialOf(t, "p\u00e4ss", IterationsMin, salt),
	}), ScramConfig{})
	tests := []struct{ name, user, password, authorizationID, identity string }{
		{"plain", "alice", "wonderland", "", "alice"},
		{"as itself", "alice", "wonderland", "alice", "alice"},
		{"escaped name", "a,b=c=2C:d", "comma, equals=", "a,b=c=2C:d", "a,b=c=2C:d"},
		{"compatibility forms", "\u2168", "IX", "I\u00adX", "IX"},
		{"right to left", "\u05d0\u05d1", "\u0627\u0031\u0628", "", "\u05d0\u05d1"},
		{"decomposed letters and another space", "\u7528\u6237\u3000one", "pa\u0308ss", "", "\u7528\u6237 one"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client := &ScramClient{UserName: test.user, Password: test.password, AuthorizationID: test.authorizationID}
			for range 2 { // First begins again
				identity, code := login(t, method, client)
				if identity != test.identity || code != codec.Success {
					t.Fatalf("identity %q, code %#x; want %q", identity, byte(code), test.identity)
				}
			}
			client.Password = "wrong"
			if identity, code := login(t, method, client); identity != "" || code != codec.NotAuthorized {
				t.Fatalf("wrong password: identity %q, code %#x", identity, byte(code))
			}
		})
	}
}

func TestScramUnknownUserLooksLikeAKnownOneWithAWrongPassword(t *testing.T) {
	users := usersOf(t, map[string]Credential{
		"alice": credentialOf(t, "x", 5000, []byte("twelve bytes")),
		"bob":   credentialOf(t, "x", 5000, []byte("bytes, 12 of")),
		"carol": credentialOf(t, "x", 6000, []byte("sixteen bytes, 1")),
	})
	method := NewScram(users, ScramConfig{Secret: []byte("one")})
	challenge := func(method *Scram, user string) serverFirst {
		t.Helper()
		first, err := parseServerFirst(wantChallenge(t, method.Begin("a-client", ""), "n,,n="+user+",r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		return first
	}

	known, unknown := challenge(method, "alice"), challenge(method, "mallory")
	if unknown.iterations != known.iterations || len(unknown.salt) != len(known.salt) || len(unknown.nonce) != len(known.nonce) {
		t.Errorf("unknown user %+v stands out from known user %+v", unknown, known)
	}
	if again := challenge(method, "mallory"); !bytes.Equal(again.salt, unknown.salt) {
		t.Error("the salt of an unknown user changes from one question to the next")
	}
	if other := challenge(method, "malory"); bytes.Equal(other.salt, unknown.salt) {
		t.Error("two unknown users have one salt")
	}
	if restarted := challenge(NewScram(users, ScramConfig{Secret: []byte("one")}), "mallory"); !bytes.Equal(restarted.salt, unknown.salt) {
		t.Error("the salt of an unknown user does not follow from the secret")
	}
	if elsewhere := challenge(NewScram(users, ScramConfig{Secret: []byte("two")}), "mallory"); bytes.Equal(elsewhere.salt, unknown.salt) {
		t.Error("the salt of an unknown user does not depend on the secret")
	}
	if random := challenge(NewScram(users, ScramConfig{}), "mallory"); bytes.Equal(random.salt, challenge(NewScram(users, ScramConfig{}), "mallory").salt) {
		t.Error("two processes without a secret make one salt")
	}
	for _, user := range []string{"alice", "mallory"} {
		if identity, code := login(t, method, &ScramClient{UserName: user, Password: "y"}); identity != "" || code != codec.NotAuthorized {
			t.Errorf("%s: identity %q, code %#x", user, identity, byte(code))
		}
	}
}

// Whoever knows the secret can compute the invented keys, but still not log in.
func TestScramUnknownUserIsRefusedEvenWithAFittingProof(t *testing.T) {
	method := rfcMethod(t)
	e := method.Begin("a-client", "").(*scramExchange)
	wantChallenge(t, e, "n,,n=mallory,r=abc")
	if e.known {
		t.Fatal("mallory is known")
	}
	clientKey := key{1, 2, 3}
	e.credential.storedKey = storedKeyOf(&clientKey)
	withoutProof := "c=biws,r=abc" + rfcServerNonce
	proof := prove(&clientKey, []byte(string(e.transcript)+","+withoutProof))
	if !e.credential.provedBy(&proof, []byte(string(e.transcript)+","+withoutProof)) {
		t.Fatal("the test's proof does not fit")
	}
	wantRefusal(t, e, withoutProof+",p="+encodeChannelBinding(string(proof[:])), codec.NotAuthorized)
}

func TestScramWithoutUsersStillAnswers(t *testing.T) {
	method := NewScram(new(Users), ScramConfig{})
	if _, code := login(t, method, &ScramClient{UserName: "alice", Password: "x"}); code != codec.NotAuthorized {
		t.Fatalf("code %#x", byte(code))
	}
}

func TestSetUsersCountsForExchangesThatBeginLater(t *testing.T) {
	method := rfcMethod(t)
	begun := method.Begin("a-client", "")
	wantChallenge(t, begun, "n,,"+rfcBare)
	method.SetUsers(new(Users))
	if _, done, _ := begun.Step([]byte(rfcClientFinal)); !done {
		t.Error("a challenge that was sent is no longer honoured")
	}
	late := method.Begin("a-client", "")
	wantChallenge(t, late, "n,,"+rfcBare)
	wantRefusal(t, late, rfcClientFinal, codec.NotAuthorized)
}

func TestScramWithoutASetOfUsersIsAProgrammingError(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewScram(nil, ScramConfig{})
}

func TestScramHasItsRegisteredName(t *testing.T) {
	if name := rfcMethod(t).Name(); name != "SCRAM-SHA-256" {
		t.Errorf("name %q", name)
	}
}

func TestScramNoncesDiffer(t *testing.T) {
	method := NewScram(new(Users), ScramConfig{})
	seen := make(map[string]bool)
	for range 100 {
		first, err := parseServerFirst(wantChallenge(t, method.Begin("", ""), "n,,n=a,r=b"))
		if err != nil || seen[first.nonce] || len(first.nonce) < 20 {
			t.Fatalf("nonce %q, error %v", first.nonce, err)
		}
		seen[first.nonce] = true
	}
}

// FuzzScramStep feeds two arbitrary messages. An exchange may only succeed with the proof that a plain computation
// from the password gives.
func FuzzScramStep(f *testing.F) {
	f.Add([]byte("n,,"+rfcBare), []byte(rfcClientFinal))
	f.Add([]byte("n,,n=mallory,r="+rfcClientNonce), []byte(rfcClientFinal))
	f.Add([]byte("y,a=user,"+rfcBare), []byte("c=eSxhPXVzZXIs,r="+rfcNonce+",p="+rfcProof))
	f.Add([]byte("p=tls-unique,,n=a=2Cb=3D,r=x,m=y"), []byte("c=biws,r=x,x=y,p=AAAA"))
	f.Add([]byte{}, []byte("n,,"+rfcBare))
	method := rfcMethod(f)
	salt, _ := decodeBase64(rfcSalt, saltBytesMax)
	clientKey, _, err := stretch("pencil", salt, 4096)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		first, final := string(one), string(two)
		e := method.Begin("a-client", "")
		reply, done, code := e.Step(one)
		clear(one)
		if done || e.Identity() != "" || code != codec.Success && reply != nil {
			t.Fatalf("after one message: reply %q, done %v, code %#x", reply, done, byte(code))
		}
		if code != codec.Success {
			wantRefusal(t, e, final, codec.ProtocolError)
			return
		}
		challenge := string(reply)
		reply, done, code = e.Step(two)
		if code != codec.Success && (reply != nil || done) {
			t.Fatalf("refused with reply %q, done %v", reply, done)
		}
		if !done {
			if e.Identity() != "" {
				t.Fatalf("identity %q without success", e.Identity())
			}
			return
		}
		bare := strings.SplitN(first, ",", 3)[2]
		withoutProof, proof, _ := strings.Cut(final, ",p=")
		want := prove(&clientKey, []byte(bare+","+challenge+","+withoutProof))
		if proof != encodeChannelBinding(string(want[:])) || e.Identity() != "user" {
			t.Fatalf("%q and %q made the Client %q", first, final, e.Identity())
		}
	})
}

func BenchmarkScramServerSide(b *testing.B) {
	method := rfcMethod(b)
	first, final := []byte("n,,"+rfcBare), []byte(rfcClientFinal)
	b.ReportAllocs()
	for b.Loop() {
		e := method.Begin("a-client", "")
		e.Step(first)
		if _, done, _ := e.Step(final); !done {
			b.Fatal("not done")
		}
	}
}
