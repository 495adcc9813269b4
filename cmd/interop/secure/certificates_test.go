package secure

import (
	"crypto/x509/pkix"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestTutorialTLS makes an authority and certificates with the openssl commands of the
// guides that the tutorial points to, which give a server certificate of version 1 with
// nothing but a common name, and uses them as the guides do.
func TestTutorialTLS(t *testing.T) {
	certificates := folder(t)
	for _, command := range []string{
		"openssl genrsa -out ca.key 2048",
		"openssl req -new -x509 -days 1826 -key ca.key -out ca.crt -subj /C=NP/O=Tutorial/CN=Tutorial-CA",
		"openssl genrsa -out server.key 2048",
		"openssl req -new -out server.csr -key server.key -subj /C=NP/O=Tutorial/CN=localhost",
		"openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 360",
		"openssl genrsa -out client.key 2048",
		"openssl req -new -out client.csr -key client.key -subj /C=NP/O=Tutorial/CN=rajan",
		"openssl x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out client.crt -days 360",
	} {
		succeed(t, certificates, strings.Fields(command)...)
	}
	at := func(name string) string { return filepath.Join(certificates, name) }
	alike(t, func(t *testing.T, m maker, l *ledger) {
		dir, plain, secure, mutual := folder(t), freePort(t), freePort(t), freePort(t)
		for _, port := range []string{plain, secure, mutual} {
			l.evenOut(port, "PORT")
		}
		succeed(t, dir, "mosquitto_passwd", "-c", "-b", "auth.txt", "rajan", "password123")
		files := fmt.Sprintf("cafile %s\ncertfile %s\nkeyfile %s\n", at("ca.crt"), at("server.crt"), at("server.key"))
		m.serve(t, dir, fmt.Sprintf("allow_anonymous false\npassword_file %s\nlistener %s 127.0.0.1\n"+
			"listener %s 127.0.0.1\n%slistener %s 127.0.0.1\n%srequire_certificate true\nuse_identity_as_username true\n",
			filepath.Join(dir, "auth.txt"), plain, secure, files, mutual, files), plain, secure, mutual)

		login := []string{"-u", "rajan", "-P", "password123", "-t", "greetings"}
		trust := with(login, "--cafile", at("ca.crt"))
		identity := with(trust, "--cert", at("client.crt"), "--key", at("client.key"))
		s := subscribe(t, sub(secure, trust...)...)
		for _, step := range []struct {
			name  string
			port  string
			flags []string
			ok    bool
		}{
			{"without TLS", plain, login, true},
			{"with TLS", secure, trust, true},
			{"with TLS, wrong password", secure, with(trust, "-P", "wrong"), false},
			{"with TLS 1.2", secure, with(trust, "--tls-version", "tlsv1.2"), true},
			{"with TLS 1.3", secure, with(trust, "--tls-version", "tlsv1.3"), true},
			{"with a certificate", mutual, identity, true},
			{"with a certificate and no password", mutual, with(identity[4:], "-V", "mqttv5"), true},
			{"with a certificate that nobody asked for", secure, identity, true},
			{"unknown authority", secure, with(login, "--tls-use-os-certs"), false},
		} {
			r := run(t, "", "", pub(step.port, with(step.flags, "-d", "-q", "1", "-m", step.name)...)...)
			if (r.status == 0) != step.ok {
				t.Errorf("%s: %v", step.name, r)
			}
			// Where TLS fails, the words depend on how far the client was when it noticed.
			if !strings.Contains(r.stdout+r.stderr, "TLS") {
				l.tell(step.name, r)
			}
			if step.ok {
				s.expect(t, "greetings", 0, 0, step.name)
			}
		}
	})
}

// TestClientCertificates tries every kind of certificate against listeners that require
// one, with every way to make a user name of it.
func TestClientCertificates(t *testing.T) {
	dir := folder(t)
	ours, theirs := newAuthority(t, dir, "ours"), newAuthority(t, dir, "theirs")
	subject := pkix.Name{CommonName: "rajan", Organization: []string{"Homes, Ltd"}, Country: []string{"NP"}}
	server := ours.server("server")
	rajan, sita := ours.client("rajan", subject), ours.client("sita", pkix.Name{CommonName: "sita"})
	clients := []struct {
		name string
		*pair
		in bool
	}{
		{"rajan", &rajan, true},
		{"sita", &sita, true},
		{"none", nil, false},
		{"of another authority", new(theirs.client("stranger", subject)), false},
		{"expired", new(ours.expired("expired", subject)), false},
		{"revoked", new(ours.client("revoked", subject)), false},
		{"without a common name", new(ours.client("nameless", pkix.Name{Organization: []string{"Homes"}})), false},
		{"of a server", new(server), false},
	}
	crl := ours.revoke(*clients[5].pair)
	acl := filepath.Join(dir, "acl.txt")
	write(t, acl, "user rajan\ntopic write rajans\nuser CN=rajan,O=Homes\\, Ltd,C=NP\ntopic write subjects\nuser CN=sita\ntopic write sitas\npattern write own/%u\n")

	alike(t, func(t *testing.T, m maker, l *ledger) {
		dir, names, subjects, optional := folder(t), freePort(t), freePort(t), freePort(t)
		for _, port := range []string{names, subjects, optional} {
			l.evenOut(port, "PORT")
		}
		m.serve(t, dir, "per_listener_settings true\n"+
			tlsListener(names, ours, server, "crlfile "+crl+"\nrequire_certificate true\nuse_identity_as_username true\nacl_file "+acl+"\n")+
			tlsListener(subjects, ours, server, "crlfile "+crl+"\nrequire_certificate true\nuse_subject_as_username true\nacl_file "+acl+"\n")+
			tlsListener(optional, ours, server, "allow_anonymous true\n"), names, subjects, optional)
		// A client that is refused may or may not have sent its CONNECT by then, and mosquitto_pub
		// says the one or the other: all that counts is that it fails.
		for _, c := range clients {
			for _, version := range []string{"tlsv1.2", "tlsv1.3"} {
				flags := []string{"-V", "mqttv5", "-q", "1", "-m", "x", "-d", "-i", "client", "--cafile", ours.file(), "--tls-version", version}
				if c.pair != nil {
					flags = with(flags, "--cert", c.cert, "--key", c.pair.key)
				}
				for _, topic := range []string{"rajans", "own/rajan", "own/CN=sita"} {
					r := run(t, "", "", pub(names, with(flags, "-t", topic)...)...)
					if (r.status == 0) != c.in {
						t.Errorf("certificate %s, %s: %v", c.name, version, r)
					}
					if c.in {
						l.tell(fmt.Sprintf("by name: certificate %s, %s, topic %s", c.name, version, topic), r)
					}
				}
				if c.name == "without a common name" {
					continue // it has a subject
				}
				for _, topic := range []string{"subjects", "sitas", "own/CN=sita", "rajans"} {
					r := run(t, "", "", pub(subjects, with(flags, "-t", topic)...)...)
					if (r.status == 0) != c.in {
						t.Errorf("by subject: certificate %s, %s: %v", c.name, version, r)
					}
					if c.in {
						l.tell(fmt.Sprintf("by subject: certificate %s, %s, topic %s", c.name, version, topic), r)
					}
				}
				if c.pair != nil {
					if r := run(t, "", "", pub(optional, with(flags, "-t", "a")...)...); r.status != 0 {
						t.Errorf("nobody asks for a certificate, certificate %s, %s: %v", c.name, version, r)
					}
				}
			}
		}
		// The user name that the client sends is not believed where a certificate gives one.
		r := run(t, "", "", pub(names, "-V", "mqttv5", "-q", "1", "-m", "x", "-d", "-i", "client", "--cafile", ours.file(),
			"--cert", sita.cert, "--key", sita.key, "-u", "rajan", "-P", "x", "-t", "rajans")...)
		l.tell("sita says she is rajan", r)
	})
}

// TestCertificateReload replaces the server's certificate and the revocation list, each
// followed by SIGHUP. Whoever is connected stays.
func TestCertificateReload(t *testing.T) {
	each(t, func(t *testing.T, m maker) {
		dir, port := folder(t), freePort(t)
		old, fresh := newAuthority(t, dir, "old"), newAuthority(t, dir, "fresh")
		server := old.server("server")
		b := m.serve(t, dir, tlsListener(port, old, server, "allow_anonymous true\n"), port)
		s := subscribe(t, sub(port, "--cafile", old.file(), "-t", "a")...)

		fresh.server("server") // the same files
		b.hangUp(t)
		eventually(t, "the new certificate is shown", func() bool {
			return run(t, "", "", pub(port, "--cafile", fresh.file(), "-t", "a", "-m", "new")...).status == 0
		})
		s.expect(t, "a", 0, 0, "new")
		if r := run(t, "", "", pub(port, "--cafile", old.file(), "-t", "a", "-m", "old")...); r.status == 0 {
			t.Error("the old certificate is still shown")
		}
	})
	onGannet(t, "mosquitto reads authorities and revocation lists once", func(t *testing.T, m maker) {
		dir, port := folder(t), freePort(t)
		ours := newAuthority(t, dir, "ours")
		server, device, other := ours.server("server"), ours.client("device", pkix.Name{CommonName: "device"}), ours.client("other", pkix.Name{CommonName: "other"})
		crl := ours.revoke()
		b := m.serve(t, dir, tlsListener(port, ours, server, "require_certificate true\nuse_identity_as_username true\ncrlfile "+crl+"\n"), port)
		flags := func(p pair) []string {
			return []string{"--cafile", ours.file(), "--cert", p.cert, "--key", p.key, "-t", "a"}
		}
		s := subscribe(t, sub(port, flags(other)...)...)
		succeed(t, "", pub(port, with(flags(device), "-m", "before")...)...)
		s.expect(t, "a", 0, 0, "before")
		ours.revoke(device)
		b.hangUp(t)
		eventually(t, "the revoked client is refused", func() bool {
			return run(t, "", "", pub(port, with(flags(device), "-m", "after")...)...).status != 0
		})
		succeed(t, "", pub(port, with(flags(other), "-m", "end")...)...)
		s.until(t, mark+"a|0|0|end")
	})
}

// TestUnixSocket serves clients over a socket in the file system beside a port, with the
// same users.
func TestUnixSocket(t *testing.T) {
	alike(t, func(t *testing.T, m maker, l *ledger) {
		dir, port := folder(t), freePort(t)
		l.evenOut(port, "PORT")
		socket := filepath.Join(dir, "gannet.sock")
		l.evenOut(dir, "DIR")
		succeed(t, dir, "mosquitto_passwd", "-c", "-b", "auth.txt", "rajan", "password123")
		b := m.serve(t, dir, fmt.Sprintf("allow_anonymous false\npassword_file %s\nlistener 0 %s\nlistener %s 127.0.0.1\n",
			filepath.Join(dir, "auth.txt"), socket, port), socket, port)
		s := subscribe(t, sub(port, "-u", "rajan", "-P", "password123", "-t", "#", "-q", "2")...)
		for qos := range 3 {
			r := l.tell(fmt.Sprintf("QoS %d", qos), run(t, "", "", "mosquitto_pub", "--unix", socket, "-u", "rajan", "-P", "password123",
				"-t", "greetings", "-m", "Hello", "-q", fmt.Sprint(qos), "-d"))
			if r.status != 0 {
				t.Fatal(r)
			}
			s.expect(t, "greetings", qos, 0, "Hello")
		}
		big := strings.Repeat("0123456789abcdef", 1<<16)
		write(t, filepath.Join(dir, "big"), big)
		succeed(t, dir, "mosquitto_pub", "--unix", socket, "-u", "rajan", "-P", "password123", "-t", "big", "-q", "1", "-f", "big")
		s.expect(t, "big", 1, 0, big)
		l.tell("wrong password", run(t, "", "", "mosquitto_pub", "--unix", socket, "-u", "rajan", "-P", "wrong", "-t", "a", "-m", "b"))
		l.tell("anonymous", run(t, "", "", "mosquitto_pub", "--unix", socket, "-t", "a", "-m", "b"))
		r := l.tell("subscribed over the socket", run(t, "", "", "mosquitto_sub", "--unix", socket,
			"-u", "rajan", "-P", "password123", "-t", "a", "-E", "-d"))
		if r.status != 0 {
			t.Error(r)
		}
		b.stop(t)
	})
}
