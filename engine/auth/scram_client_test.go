package auth

import (
	"strings"
	"testing"
)

func rfcClient() *ScramClient {
	return &ScramClient{UserName: "user", Password: "pencil", Nonce: func() string { return rfcClientNonce }}
}

func TestScramClientFollowsTheExampleOfRFC7677(t *testing.T) {
	client := rfcClient()
	first, err := client.First()
	if err != nil || string(first) != "n,,"+rfcBare {
		t.Fatalf("client-first %q, error %v", first, err)
	}
	final, err := client.Final([]byte(rfcServerFirst))
	if err != nil || string(final) != rfcClientFinal {
		t.Fatalf("client-final %q, error %v", final, err)
	}
	if err := client.Verify([]byte(rfcServerFinal)); err != nil {
		t.Fatal(err)
	}
}

func TestScramClientRefusesServerFirst(t *testing.T) {
	for name, message := range map[string]string{
		"nonce of somebody else":    "r=x" + rfcNonce + ",s=" + rfcSalt + ",i=4096",
		"nonce without the server":  "r=" + rfcClientNonce + ",s=" + rfcSalt + ",i=4096",
		"too few iterations":        "r=" + rfcNonce + ",s=" + rfcSalt + ",i=4095",
		"too many iterations":       "r=" + rfcNonce + ",s=" + rfcSalt + ",i=1000001",
		"iterations beyond numbers": "r=" + rfcNonce + ",s=" + rfcSalt + ",i=" + strings.Repeat("9", 40),
		"iterations signed":         "r=" + rfcNonce + ",s=" + rfcSalt + ",i=+4096",
		"short salt":                "r=" + rfcNonce + ",s=AAAA,i=4096",
		"salt not base64":           "r=" + rfcNonce + ",s=!" + rfcSalt + ",i=4096",
		"no salt":                   "r=" + rfcNonce + ",i=4096",
		"no iterations":             "r=" + rfcNonce + ",s=" + rfcSalt + ",x=4096",
		"mandatory extension":       "m=x," + rfcServerFirst,
		"error":                     "e=unknown-user",
		"nothing":                   "",
		"not utf-8":                 rfcServerFirst + ",x=\xff",
	} {
		t.Run(name, func(t *testing.T) {
			client := rfcClient()
			if _, err := client.First(); err != nil {
				t.Fatal(err)
			}
			if final, err := client.Final([]byte(message)); err == nil {
				t.Fatalf("client-final %q", final)
			}
		})
	}
}

func TestScramClientRefusesServerFinal(t *testing.T) {
	for name, message := range map[string]string{
		"other signature":     strings.Replace(rfcServerFinal, "6rri", "7rri", 1),
		"short signature":     "v=AAAA",
		"no signature":        "v=",
		"error":               "e=invalid-proof",
		"something else":      "x=" + rfcServerFinal,
		"mandatory extension": "m=x," + rfcServerFinal,
		"nothing":             "",
		"null character":      rfcServerFinal + ",x=\x00",
	} {
		t.Run(name, func(t *testing.T) {
			client := rfcClient()
			if _, err := client.First(); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Final([]byte(rfcServerFirst)); err != nil {
				t.Fatal(err)
			}
			if err := client.Verify([]byte(message)); err == nil {
				t.Fatal("accepted")
			}
		})
	}
}

func TestScramClientKeepsTheOrderOfItsMessages(t *testing.T) {
	client := rfcClient()
	if _, err := client.Final([]byte(rfcServerFirst)); err == nil {
		t.Error("Final before First")
	}
	if err := client.Verify([]byte(rfcServerFinal)); err == nil {
		t.Error("Verify before First")
	}
	if _, err := client.First(); err != nil {
		t.Fatal(err)
	}
	if err := client.Verify([]byte(rfcServerFinal)); err == nil {
		t.Error("Verify before Final")
	}
}

func TestScramClientRefusesNamesThatCannotBeSent(t *testing.T) {
	for name, client := range map[string]*ScramClient{
		"empty user":                {},
		"user not utf-8":            {UserName: "\xff"},
		"user with a control":       {UserName: "a\nb"},
		"authorization id likewise": {UserName: "a", AuthorizationID: "a\nb"},
	} {
		if first, err := client.First(); err == nil {
			t.Errorf("%s: %q", name, first)
		}
	}
}
