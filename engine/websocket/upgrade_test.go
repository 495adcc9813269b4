package websocket

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// The key and the answer to it are those of RFC 6455 section 1.3.
const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// request returns a good request in which edits, pairs of old and new text, have been made.
func request(t testing.TB, edits ...string) []byte {
	t.Helper()
	text := "GET /mqtt HTTP/1.1\r\n" +
		"Host: broker.example.org:8080\r\n" +
		"Upgrade: websocket\r\n" +
		"Connection: Upgrade\r\n" +
		"Sec-WebSocket-Key: " + sampleKey + "\r\n" +
		"Sec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Protocol: mqtt\r\n" +
		"Origin: https://example.org\r\n" +
		"\r\n"
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("no %q to replace", edits[i])
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	return []byte(text)
}

const accepted = "HTTP/1.1 101 Switching Protocols\r\n" +
	"Upgrade: websocket\r\n" +
	"Connection: Upgrade\r\n" +
	"Sec-WebSocket-Accept: " + sampleAccept + "\r\n" +
	"Sec-WebSocket-Protocol: mqtt\r\n" +
	"\r\n"

func TestUpgrade(t *testing.T) {
	in := request(t)
	answer, r := new(Options).Upgrade([]byte("before "), append(in, "\x82\x80 a frame"...))
	if string(answer) != "before "+accepted {
		t.Errorf("answer %q", answer)
	}
	if r.Status != 101 || r.Size != len(in) || r.Protocol != "mqtt" || r.Reason != "" {
		t.Errorf("%+v", r)
	}
}

func TestUpgradeWaitsForTheEmptyLine(t *testing.T) {
	in := request(t)
	for n := range in {
		answer, r := new(Options).Upgrade(nil, in[:n])
		if answer != nil || r.Status != 0 || r.Size != 0 {
			t.Fatalf("%d bytes: %q, %+v", n, answer, r)
		}
	}
}

func TestUpgradeAccepts(t *testing.T) {
	mqttPath := Options{Path: "/mqtt"}
	origins := Options{Origins: []string{"https://other.example", "https://Example.org/"}}
	const protocolLine = "Sec-WebSocket-Protocol: mqtt\r\n"
	for _, c := range []struct {
		name     string
		o        Options
		edits    []string
		protocol string
	}{
		{"any path", Options{}, []string{"/mqtt", "/"}, "mqtt"},
		{"the path", mqttPath, nil, "mqtt"},
		{"a query", mqttPath, []string{"/mqtt", "/mqtt?token=a?b/c"}, "mqtt"},
		{"a whole URL", mqttPath, []string{"/mqtt", "http://broker.example.org:8080/mqtt?x"}, "mqtt"},
		{"a whole https URL", mqttPath, []string{"/mqtt", "HTTPS://broker.example.org/mqtt"}, "mqtt"},
		{"a whole URL without a path", Options{Path: "/"}, []string{"/mqtt", "http://broker.example.org?a/b"}, "mqtt"},
		{"other cases", Options{}, []string{"Host", "hOST", "Upgrade: websocket", "UPGRADE: WebSocket", "Connection: Upgrade", "connection: UPGRADE", "Sec-WebSocket-Key", "sec-websocket-key"}, "mqtt"},
		{"blanks around values", Options{}, []string{": websocket", ":\t websocket \t", "Host: ", "Host:"}, "mqtt"},
		{"several upgrades", Options{}, []string{"Upgrade: websocket", "Upgrade: h2c, websocket"}, "mqtt"},
		{"keep-alive of Firefox", Options{}, []string{"Connection: Upgrade", "Connection: keep-alive, Upgrade"}, "mqtt"},
		{"Connection in two lines", Options{}, []string{"Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade"}, "mqtt"},
		{"mqttv3.1", Options{}, []string{protocolLine, "Sec-WebSocket-Protocol: mqttv3.1\r\n"}, "mqttv3.1"},
		{"mqtt before mqttv3.1", Options{}, []string{protocolLine, "Sec-WebSocket-Protocol: mqttv3.1, chat,mqtt ,x\r\n"}, "mqtt"},
		{"protocols in two lines", Options{}, []string{protocolLine, "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: mqtt\r\n"}, "mqtt"},
		{"better protocol first", Options{}, []string{protocolLine, protocolLine + "Sec-WebSocket-Protocol: mqttv3.1\r\n"}, "mqtt"},
		{"extensions are not agreed on", Options{}, []string{protocolLine, protocolLine + "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"}, "mqtt"},
		{"an allowed origin", origins, nil, "mqtt"},
		{"any origin", Options{Origins: []string{"*"}}, []string{"https://example.org", "null"}, "mqtt"},
		{"no origin", origins, []string{"Origin: https://example.org\r\n", ""}, "mqtt"},
		{"Content-Length 0", Options{}, []string{protocolLine, protocolLine + "Content-Length: 0\r\n"}, "mqtt"},
		{"bytes that are not ASCII in a value", Options{}, []string{protocolLine, protocolLine + "Cookie: caf\xc3\xa9=\xff\r\n"}, "mqtt"},
		{"an empty value", Options{}, []string{protocolLine, protocolLine + "X-Empty:\r\n"}, "mqtt"},
		{"HTTP/1.2", Options{}, []string{"HTTP/1.1", "HTTP/1.2"}, "mqtt"},
	} {
		in := request(t, c.edits...)
		answer, r := c.o.Upgrade(nil, in)
		if r.Status != 101 || r.Size != len(in) || r.Protocol != c.protocol {
			t.Errorf("%s: %+v", c.name, r)
		}
		if want := strings.Replace(accepted, "Protocol: mqtt", "Protocol: "+c.protocol, 1); string(answer) != want {
			t.Errorf("%s: answer %q", c.name, answer)
		}
	}
}

func TestUpgradeRefuses(t *testing.T) {
	mqttPath := Options{Path: "/mqtt"}
	origins := Options{Origins: []string{"https://example.org"}}
	for _, c := range []struct {
		name  string
		o     Options
		edits []string
		want  *refusal
	}{
		{"POST", Options{}, []string{"GET", "POST"}, refuseMethod},
		{"a method of its own", Options{}, []string{"GET", "GETS"}, refuseMethod},
		{"lower case method", Options{}, []string{"GET", "Get"}, refuseMethod},
		{"method with a bad byte", Options{}, []string{"GET", "G(T"}, refuseLine},
		{"HTTP/1.0", Options{}, []string{"HTTP/1.1", "HTTP/1.0"}, refuseVersion},
		{"HTTP/2", Options{}, []string{"GET /mqtt HTTP/1.1", "PRI * HTTP/2.0"}, refuseVersion},
		{"HTTP/1.10", Options{}, []string{"HTTP/1.1", "HTTP/1.10"}, refuseVersion},
		{"HTTP/0.9", Options{}, []string{" HTTP/1.1", ""}, refuseLine},
		{"two blanks", Options{}, []string{"GET ", "GET  "}, refuseVersion},
		{"a blank in the path", Options{}, []string{"/mqtt", "/mq tt"}, refuseVersion},
		{"no target", Options{}, []string{"/mqtt", ""}, refuseLine},
		{"a target without slash", Options{}, []string{"/mqtt", "mqtt"}, refuseLine},
		{"a target of another scheme", Options{}, []string{"/mqtt", "ftp://h/mqtt"}, refuseLine},
		{"a bare LF in the request line", Options{}, []string{"/mqtt", "/mq\ntt"}, refuseLine},
		{"path not ASCII", Options{}, []string{"/mqtt", "/mq\x80"}, refuseLine},
		{"another path", mqttPath, []string{"/mqtt", "/"}, refusePath},
		{"a longer path", mqttPath, []string{"/mqtt", "/mqtt/"}, refusePath},
		{"another case", mqttPath, []string{"/mqtt", "/MQTT"}, refusePath},
		{"an escaped path", mqttPath, []string{"/mqtt", "/mqt%74"}, refusePath},
		{"a query only", mqttPath, []string{"/mqtt", "/?/mqtt"}, refusePath},
		{"no Host", Options{}, []string{"Host", "Hist"}, refuseHost},
		{"an empty Host", Options{}, []string{"Host: broker.example.org:8080", "Host: "}, refuseHost},
		{"two Hosts", Options{}, []string{"Upgrade:", "Host: other\r\nUpgrade:"}, refuseRepeated},
		{"two keys", Options{}, []string{"Upgrade:", "Sec-WebSocket-Key: " + sampleKey + "\r\nUpgrade:"}, refuseRepeated},
		{"two versions", Options{}, []string{"Upgrade:", "Sec-WebSocket-Version: 13\r\nUpgrade:"}, refuseRepeated},
		{"two origins", origins, []string{"Upgrade:", "Origin: null\r\nUpgrade:"}, refuseRepeated},
		{"two empty origins", Options{}, []string{"Origin: https://example.org", "Origin:\r\nOrigin:"}, refuseRepeated},
		{"no Upgrade", Options{}, []string{"Upgrade: websocket\r\n", ""}, refusePlain},
		{"another Upgrade", Options{}, []string{"Upgrade: websocket", "Upgrade: websocket2, h2c"}, refusePlain},
		{"no Connection", Options{}, []string{"Connection: Upgrade\r\n", ""}, refusePlain},
		{"another Connection", Options{}, []string{"Connection: Upgrade", "Connection: close"}, refusePlain},
		{"version 8", Options{}, []string{"Version: 13", "Version: 8"}, refuseOld},
		{"versions 13 and 8", Options{}, []string{"Version: 13", "Version: 13, 8"}, refuseOld},
		{"no version", Options{}, []string{"Sec-WebSocket-Version: 13\r\n", ""}, refuseOld},
		{"no key", Options{}, []string{"Sec-WebSocket-Key: " + sampleKey + "\r\n", ""}, refuseKey},
		{"a short key", Options{}, []string{sampleKey, "c2hvcnQ="}, refuseKey},
		{"a key of 17 bytes", Options{}, []string{sampleKey, "MTIzNDU2Nzg5MDEyMzQ1Njc="}, refuseKey},
		{"a key of 18 bytes", Options{}, []string{sampleKey, "MTIzNDU2Nzg5MDEyMzQ1Njc4"}, refuseKey},
		{"a key that is not base64", Options{}, []string{sampleKey, "dGhlIHNhbXBsZSBub25j*Q=="}, refuseKey},
		{"another origin", origins, []string{"Origin: https://example.org", "Origin: https://example.org.evil.example"}, refuseOrigin},
		{"another scheme", origins, []string{"Origin: https", "Origin: http"}, refuseOrigin},
		{"a shorter origin", origins, []string{"Origin: https://example.org", "Origin: https://example"}, refuseOrigin},
		{"an empty origin", origins, []string{"Origin: https://example.org", "Origin:"}, refuseOrigin},
		{"null origin", origins, []string{"Origin: https://example.org", "Origin: null"}, refuseOrigin},
		{"no subprotocol", Options{}, []string{"Sec-WebSocket-Protocol: mqtt\r\n", ""}, refuseProtocol},
		{"another subprotocol", Options{}, []string{"Protocol: mqtt", "Protocol: chat, mqttv5, MQTT"}, refuseProtocol},
		{"a body", Options{}, []string{"Upgrade:", "Content-Length: 5\r\nUpgrade:"}, refuseBody},
		{"a chunked body", Options{}, []string{"Upgrade:", "Transfer-Encoding: chunked\r\nUpgrade:"}, refuseBody},
		{"a field without colon", Options{}, []string{"Upgrade:", "nonsense\r\nUpgrade:"}, refuseField},
		{"a field without name", Options{}, []string{"Upgrade:", ": x\r\nUpgrade:"}, refuseField},
		{"a blank before the colon", Options{}, []string{"Host:", "Host :"}, refuseField},
		{"a folded line", Options{}, []string{"Upgrade:", "X-A: b\r\n c\r\nUpgrade:"}, refuseField},
		{"a bare LF", Options{}, []string{"Upgrade:", "X-A: b\nX-B: c\r\nUpgrade:"}, refuseField},
		{"a bare CR", Options{}, []string{"Upgrade:", "X-A: b\rX-B: c\r\nUpgrade:"}, refuseField},
		{"a NUL", Options{}, []string{"Upgrade:", "X-A: \x00\r\nUpgrade:"}, refuseField},
	} {
		answer, r := c.o.Upgrade([]byte("before "), request(t, c.edits...))
		if r.Status != c.want.status || r.Reason != c.want.reason || r.Size != 0 {
			t.Errorf("%s: %d %s, want %d %s", c.name, r.Status, r.Reason, c.want.status, c.want.reason)
		}
		if !strings.HasPrefix(string(answer), "before HTTP/1.1 ") {
			t.Errorf("%s: answer %q", c.name, answer)
		}
	}
}

func TestUpgradeKnowsOtherProtocolsByTheFirstByte(t *testing.T) {
	for in, want := range map[string]*refusal{
		"\x10": refuseMQTT, "\x16": refuseTLS, "\x00": refuseGarbage, "\xff": refuseGarbage, "\r": refuseGarbage, " ": refuseGarbage, "get": refuseGarbage, "@": refuseGarbage, "[": refuseGarbage,
	} {
		answer, r := new(Options).Upgrade(nil, []byte(in))
		if r.Status != 400 || r.Reason != want.reason || len(answer) == 0 {
			t.Errorf("%q: %+v, %q", in, r, answer)
		}
	}
}

func TestUpgradeBoundsTheHeader(t *testing.T) {
	padded := func(size int) []byte {
		return request(t, "Upgrade:", "X-Padding: "+strings.Repeat("x", size-len(request(t))-13)+"\r\nUpgrade:")
	}
	for _, c := range []struct{ max, limit int }{{0, DefaultHeaderBytesMax}, {300, 300}} {
		o := Options{HeaderBytesMax: c.max}
		in := padded(c.limit)
		if len(in) != c.limit {
			t.Fatalf("%d bytes, meant %d", len(in), c.limit)
		}
		if _, r := o.Upgrade(nil, append(in, "frames"...)); r.Status != 101 {
			t.Errorf("%d bytes: %+v", c.limit, r)
		}
		in = padded(c.limit + 1)
		for n := range in {
			want := 0
			if n >= c.limit {
				want = 431
			}
			if _, r := o.Upgrade(nil, in[:n]); r.Status != want {
				t.Fatalf("%d of %d bytes: %d, want %d", n, len(in), r.Status, want)
			}
		}
	}
}

// What is refused is answered in a way that an HTTP client reads to the end, and that tells it what would do.
func TestRefusalsAreHTTP(t *testing.T) {
	for _, no := range []*refusal{refuseTLS, refuseField, refuseMethod, refusePath, refuseOrigin, refusePlain, refuseOld, refuseLong} {
		answer := no.append(nil)
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
		if err != nil {
			t.Fatalf("%s: %v", no.reason, err)
		}
		var body bytes.Buffer
		if _, err := body.ReadFrom(resp.Body); err != nil || body.String() != no.reason+"\n" {
			t.Errorf("%s: body %q, %v", no.reason, body.String(), err)
		}
		if resp.StatusCode != no.status || http.StatusText(no.status) != no.phrase || !resp.Close {
			t.Errorf("%s: %s, close %v", no.reason, resp.Status, resp.Close)
		}
		if got := resp.Header.Get("Allow"); (no.status == 405) != (got == "GET") {
			t.Errorf("%s: Allow %q", no.reason, got)
		}
		upgrade := resp.Header.Get("Upgrade") == "websocket" && resp.Header.Get("Sec-WebSocket-Version") == "13" &&
			bytes.Contains(answer, []byte("\r\nConnection: Upgrade, close\r\n"))
		if upgrade != (no.status == 426) {
			t.Errorf("%s: %v", no.reason, resp.Header)
		}
	}
}

func TestOptionsValidate(t *testing.T) {
	for _, o := range []Options{{}, {Path: "/"}, {Path: "/mqtt/v5", Origins: []string{"*"}, HeaderBytesMax: 256, AddressHeader: "X-Real-IP"}} {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for want, o := range map[string]Options{
		"path":           {Path: "mqtt"},
		"/mq tt":         {Path: "/mq tt"},
		"/mqtt?x":        {Path: "/mqtt?x"},
		"origin":         {Origins: []string{"https://a", ""}},
		"header bytes":   {HeaderBytesMax: 255},
		"-1":             {HeaderBytesMax: -1},
		"address header": {AddressHeader: "X Real"},
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// FuzzUpgrade compares with net/http: what is upgraded here is a request there as well, and the same one. Whatever the bytes,
// an answer does not depend on what follows the request, and no beginning of an upgraded request is refused.
func FuzzUpgrade(f *testing.F) {
	f.Add(request(f), uint16(10))
	f.Add(request(f, "/mqtt", "http://h/mqtt?x", "Upgrade:", "X-Forwarded-For: 192.0.2.1, [2001:db8::1]:80\r\nForwarded: for=_x\r\nUpgrade:"), uint16(100))
	f.Add(request(f, "GET", "POST"), uint16(30))
	f.Add(request(f, "\r\nHost", "\r\n folded\r\nHost"), uint16(30))
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		o := Options{Path: "/mqtt"}
		answer, r := o.Upgrade(nil, in)
		if (r.Status == 0) != (len(answer) == 0) {
			t.Fatalf("%+v, answer %q", r, answer)
		}
		r.ClientAddr(nil)
		if r.Status != 101 {
			return
		}
		if again, _ := o.Upgrade(nil, append(bytes.Clone(in[:r.Size]), "more"...)); !bytes.Equal(again, answer) {
			t.Fatalf("%q, with more %q", answer, again)
		}
		if _, part := o.Upgrade(nil, in[:int(cut)%r.Size]); part.Status != 0 {
			t.Fatalf("its beginning: %+v", part)
		}
		theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in[:r.Size])))
		if err != nil {
			if strings.Contains(err.Error(), "malformed Host") || strings.HasPrefix(err.Error(), "parse ") {
				return // about what a host may look like, of which no use is made here
			}
			t.Fatalf("net/http: %v", err)
		}
		ours, _ := o.cut(in)
		for field, value := range map[string][]byte{"Sec-WebSocket-Version": ours.version, "Sec-WebSocket-Key": ours.key, "Origin": ours.origin} {
			if got := theirs.Header.Values(field); len(got) > 1 || len(got) == 1 && got[0] != string(value) || (len(got) == 0) != (value == nil) {
				t.Fatalf("%s: %q, and net/http read %q", field, value, got)
			}
		}
		if theirs.Method != "GET" || theirs.URL.EscapedPath() != "/mqtt" || theirs.ContentLength > 0 {
			t.Fatalf("net/http read %+v", theirs)
		}
	})
}

func BenchmarkUpgrade(b *testing.B) {
	in, out := request(b), make([]byte, 0, 512)
	var o Options
	b.ReportAllocs()
	for b.Loop() {
		if _, r := o.Upgrade(out, in); r.Status != 101 {
			b.Fatal(r)
		}
	}
}
