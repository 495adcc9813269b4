package secure

import (
	"crypto/x509/pkix"
	"path/filepath"
	"strings"
	"testing"
)

// The tests of this file speak TLS with openssl s_client and MQTT by hand.

// connectPacket is a CONNECT of version 3.1.1 with Clean Session and a keep alive of a
// minute (section 3.1).
func connectPacket(clientID string) string {
	body := "\x00\x04MQTT\x04\x02\x00\x3c" + string([]byte{0, byte(len(clientID))}) + clientID
	return string([]byte{0x10, byte(len(body))}) + body
}

const (
	connack  = "\x20\x02\x00\x00"
	pingreq  = "\xc0\x00"
	pingresp = "\xd0\x00"
)

// client starts s_client; its commands (K, R) are a line of their own.
func sClient(t *testing.T, port string, a *authority, flags ...string) *dialogue {
	t.Helper()
	return talkRaw(t, with([]string{"openssl", "s_client", "-connect", "127.0.0.1:" + port, "-CAfile", a.file(), "-verify_return_error"}, flags...)...)
}

// login connects by hand and waits for CONNACK.
func (d *dialogue) login(t *testing.T, clientID string) {
	t.Helper()
	d.until(t, "Verify return code: 0 (ok)")
	d.say(t, connectPacket(clientID))
	d.until(t, connack)
}

// ping shows that the server still answers.
func (d *dialogue) ping(t *testing.T) {
	t.Helper()
	d.say(t, pingreq)
	d.until(t, pingresp)
}

// refused runs s_client to its end, which has to be an error.
func refused(t *testing.T, what, port string, a *authority, flags ...string) {
	t.Helper()
	d := sClient(t, port, a, flags...)
	d.input.Close()
	if d.status(t) == 0 {
		t.Errorf("%s: accepted\n%s", what, abbreviate(d.all()))
	}
}

func TestOpenSSL(t *testing.T) {
	dir := folder(t)
	a := newAuthority(t, dir, "ca")
	server := a.serverRSA("server")
	device := a.client("device", pkix.Name{CommonName: "device"})
	each(t, func(t *testing.T, m maker) {
		port, mutual := freePort(t), freePort(t)
		m.serve(t, folder(t), "allow_anonymous true\n"+tlsListener(port, a, server, "")+
			tlsListener(mutual, a, server, "require_certificate true\nuse_identity_as_username true\n"), port, mutual)
		bystander := sClient(t, port, a)
		bystander.login(t, "bystander")

		for _, version := range []string{"1.2", "1.3"} {
			flag := "-tls" + strings.ReplaceAll(version, ".", "_")
			t.Run("version "+version, func(t *testing.T) {
				d := sClient(t, port, a, flag)
				d.until(t, "New, TLSv"+version)
				d.login(t, "c")
				d.ping(t)
			})
			t.Run("resumption "+version, func(t *testing.T) {
				ticket := filepath.Join(dir, m.name+version)
				d := sClient(t, port, a, flag, "-sess_out", ticket)
				d.login(t, "c")
				d.ping(t)
				d.say(t, "Q\n")
				d.status(t)
				for range 2 {
					again := sClient(t, port, a, flag, "-sess_in", ticket)
					again.until(t, "Reused, TLSv"+version)
					again.login(t, "c")
					again.ping(t)
				}
			})
			t.Run("client certificate "+version, func(t *testing.T) {
				d := sClient(t, mutual, a, flag, "-cert", device.cert, "-key", device.key)
				d.login(t, "c")
				d.ping(t)
			})
		}
		t.Run("key update", func(t *testing.T) {
			d := sClient(t, port, a, "-tls1_3")
			d.login(t, "c")
			// k changes the client's key, K asks the server to change its own, too.
			for _, command := range []string{"K", "k", "K", "K"} {
				d.say(t, command+"\n")
				d.until(t, "KEYUPDATE")
				d.ping(t)
			}
		})
		t.Run("renegotiation", func(t *testing.T) {
			d := sClient(t, port, a, "-tls1_2")
			d.login(t, "c")
			d.say(t, "R\n")
			d.until(t, "RENEGOTIATING")
			d.status(t) // s_client gives up when it is refused
			if !strings.Contains(d.all(), "no renegotiation") && !strings.Contains(d.all(), "unexpected message") {
				t.Errorf("nobody refused:\n%s", abbreviate(d.all()))
			}
			if strings.Count(d.all(), "verify return:1") > 2 {
				t.Errorf("the certificate was shown a second time:\n%s", abbreviate(d.all()))
			}
		})
		t.Run("old versions", func(t *testing.T) {
			for _, flag := range []string{"-tls1", "-tls1_1"} {
				refused(t, flag, port, a, flag, "-cipher", "ALL:@SECLEVEL=0")
			}
		})
		t.Run("weak ciphers", func(t *testing.T) {
			for _, suite := range []string{"aNULL", "eNULL", "PSK"} {
				refused(t, suite, port, a, "-tls1_2", "-cipher", suite+":@SECLEVEL=0")
			}
		})
		t.Run("no certificate", func(t *testing.T) {
			refused(t, "TLS 1.2 without a certificate", mutual, a, "-tls1_2")
		})
		t.Run("unknown protocol name", func(t *testing.T) {
			d := sClient(t, port, a, "-alpn", "x-amzn-mqtt-ca")
			d.login(t, "c")
			d.ping(t)
		})
		t.Run("plain text on a TLS port", func(t *testing.T) {
			r := run(t, "", "", pub(port, "-t", "a", "-m", "b")...)
			if r.status == 0 {
				t.Error(r)
			}
		})
		t.Run("bystander", bystander.ping)
	})
	onGannet(t, "mosquitto takes no notice of ALPN, and no exception to suites without forward secrecy", func(t *testing.T, m maker) {
		port := freePort(t)
		m.serve(t, folder(t), "allow_anonymous true\n"+tlsListener(port, a, server, ""), port)
		d := sClient(t, port, a, "-alpn", "mqtt")
		d.until(t, "ALPN protocol: mqtt")
		d.login(t, "c")
		for _, suite := range []string{"AES128-SHA", "AES256-GCM-SHA384", "kRSA"} {
			refused(t, suite, port, a, "-tls1_2", "-cipher", suite+":@SECLEVEL=0")
		}
	})
}

// TestTLSVersionSetting holds listeners to the version of tls_version.
func TestTLSVersionSetting(t *testing.T) {
	dir := folder(t)
	a := newAuthority(t, dir, "ca")
	server := a.serverRSA("server")
	each(t, func(t *testing.T, m maker) {
		modern, suites := freePort(t), freePort(t)
		m.serve(t, folder(t), "allow_anonymous true\n"+tlsListener(modern, a, server, "tls_version tlsv1.3\n")+
			tlsListener(suites, a, server, "tls_version tlsv1.2\nciphers ECDHE-RSA-AES256-GCM-SHA384\n"), modern, suites)
		sClient(t, modern, a).until(t, "New, TLSv1.3")
		refused(t, "TLS 1.2 where 1.3 is wanted", modern, a, "-tls1_2")
		sClient(t, suites, a, "-tls1_2").until(t, "Cipher is ECDHE-RSA-AES256-GCM-SHA384")
		refused(t, "another suite", suites, a, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256")
		if r := m.refusesToStart(t, folder(t), tlsListener(freePort(t), a, server, "tls_version tlsv1.9\n")); r.stderr+r.stdout == "" {
			t.Error("nothing is said about a version that does not exist")
		}
		if r := m.refusesToStart(t, folder(t), tlsListener(freePort(t), a, pair{cert: server.cert, key: filepath.Join(dir, "none")}, "")); !strings.Contains(r.stderr+r.stdout, "none") {
			t.Errorf("a missing key is not named: %v", r)
		}
		other := a.server("other")
		if r := m.refusesToStart(t, folder(t), tlsListener(freePort(t), a, pair{cert: server.cert, key: other.key}, "")); r.stderr+r.stdout == "" {
			t.Errorf("a key that does not fit: %v", r)
		}
	})
}
