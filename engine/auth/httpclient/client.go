package httpclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gannetmq/gannet/engine/textfile"
)

// Bounds and defaults.
const (
	TimeoutDefault     = 3 * time.Second
	AnswerBytesDefault = 64 << 10
	headerBytesMax     = 32 << 10 // of an answer
	caFileBytesMax     = 4 << 20
	redirectsMax       = 3
	idleTimeout        = 60 * time.Second
)

// Options say whom to ask and how.
type Options struct {
	URL            string            // http:// or https://; a user name and password in it become an Authorization header
	Header         map[string]string // sent with every request; secret
	CAFile         string            // PEM certificates that the service's has to lead to; empty: those of the system
	CertFile       string            // with KeyFile: the certificate that this side shows, PEM
	KeyFile        string
	AllowPlainHTTP bool              // take an http:// URL of another machine
	Connections    int               // open at once, 0 = 1
	Timeout        time.Duration     // of a whole exchange, 0 = TimeoutDefault
	AnswerBytesMax int               // of a body, 0 = AnswerBytesDefault
	Transport      http.RoundTripper // instead of the network; for tests
}

// Client asks one service. Safe for concurrent use.
type Client struct {
	http     http.Client
	url      *url.URL
	host     string // value of the Host header; empty: that of the URL
	header   http.Header
	timeout  time.Duration
	bytesMax int
}

// Answer is what the service said, whatever its status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

var (
	errRedirect = errors.New("a redirect to another host, or one that changes the request, is not followed")
	errTooLarge = errors.New("the answer is larger than allowed")
)

// New reads the files that o names and opens no connection. Its errors say which option is wrong.
func New(o Options) (*Client, error) {
	u, err := parseURL(o.URL, o.AllowPlainHTTP)
	if err != nil {
		return nil, err
	}
	c := &Client{url: u, timeout: o.Timeout, bytesMax: o.AnswerBytesMax, header: make(http.Header)}
	if c.timeout <= 0 {
		c.timeout = TimeoutDefault
	}
	if c.bytesMax <= 0 {
		c.bytesMax = AnswerBytesDefault
	}
	for name, value := range o.Header {
		if !validHeader(name, value) {
			return nil, fmt.Errorf("header %q: not a name and value that HTTP allows", name)
		}
		if name = http.CanonicalHeaderKey(name); name == "Host" {
			c.host = value
		} else {
			c.header.Set(name, value)
		}
	}
	security, err := tlsConfig(o)
	if err != nil {
		return nil, err
	}
	connections := max(1, o.Connections)
	c.http.CheckRedirect = checkRedirect
	if c.http.Transport = o.Transport; o.Transport == nil {
		c.http.Transport = &http.Transport{
			DialContext:            (&net.Dialer{Timeout: c.timeout}).DialContext,
			TLSClientConfig:        security,
			TLSHandshakeTimeout:    c.timeout,
			MaxConnsPerHost:        connections,
			MaxIdleConns:           connections,
			MaxIdleConnsPerHost:    connections,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: headerBytesMax,
			DisableCompression:     true,
		}
	}
	return c, nil
}

// parseURL has no words of the URL in its errors: there may be a password in it.
func parseURL(text string, allowPlain bool) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.Hostname() == "":
		return nil, errors.New("url: not of the form https://HOST[:PORT]/PATH")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("url: scheme %q, want http or https", u.Scheme)
	case u.Scheme == "http" && !allowPlain && !loopback(u.Hostname()):
		return nil, fmt.Errorf("url: http://%s would send secrets and take answers unprotected; use https, or allow plain HTTP", u.Host)
	}
	u.Fragment = ""
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func validHeader(name, value string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return name != ""
}

func tlsConfig(o Options) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := textfile.ReadFile(o.CAFile, caFileBytesMax)
		if err != nil {
			return nil, fmt.Errorf("ca file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca file %s: no certificate in PEM form", o.CAFile)
		}
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("client certificate: give both a certificate and a key file, or neither")
	}
	if o.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("client certificate %s, key %s: %w", o.CertFile, o.KeyFile, err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}

// checkRedirect lets a request go elsewhere on the same host, unchanged: what it says is for nobody else.
func checkRedirect(next *http.Request, before []*http.Request) error {
	first := before[0]
	if len(before) > redirectsMax || next.URL.Scheme != first.URL.Scheme || !strings.EqualFold(next.URL.Host, first.URL.Host) ||
		next.Method != first.Method {
		return errRedirect
	}
	return nil
}

// Name is the URL as far as it may be shown.
func (c *Client) Name() string { return c.url.Scheme + "://" + c.url.Host }

// Ask sends one request and returns the whole answer. query is added to that of the URL, body may be nil. It may take as long as the
// time-out of Options.
func (c *Client) Ask(ctx context.Context, method string, query url.Values, contentType string, body []byte) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	u := *c.url
	if len(query) > 0 {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += query.Encode()
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), reader)
	if err != nil {
		return nil, fmt.Errorf("ask %s: not a request that HTTP allows", c.Name())
	}
	req.Host = c.host
	for name, values := range c.header {
		req.Header[name] = values
	}
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header["Idempotency-Key"] = nil // not sent: it tells net/http that a question may be asked again when an idle connection had died
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.wrap(ctx, err)
	}
	defer resp.Body.Close()
	a := &Answer{Status: resp.StatusCode, Header: resp.Header}
	a.Body, err = io.ReadAll(io.LimitReader(resp.Body, int64(c.bytesMax)+1))
	if err == nil && len(a.Body) > c.bytesMax {
		err = errTooLarge
	}
	if err != nil {
		return nil, c.wrap(ctx, err)
	}
	return a, nil
}

// wrap says why there is no answer. Errors of net/http may hold the URL, or words of the service, so that only known ones are let through.
func (c *Client) wrap(ctx context.Context, err error) error {
	return fmt.Errorf("ask %s: %w", c.Name(), reason(ctx, err))
}

func reason(ctx context.Context, err error) error {
	var op *net.OpError
	var dns *net.DNSError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, errRedirect):
		return errRedirect
	case errors.Is(err, errTooLarge):
		return errTooLarge
	case errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, context.Canceled):
		return context.Canceled
	case ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no answer in time")
	case errors.As(err, &verify):
		return verify
	case errors.As(err, &record):
		return errors.New("it does not speak TLS")
	case errors.As(err, &alert):
		return alert
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &op):
		return op
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("connection closed before the end of the answer")
	}
	return errors.New("the answer is not HTTP, or its header is too large")
}

// Close lets idle connections go. Requests that are on their way are ended by their context.
func (c *Client) Close() { c.http.CloseIdleConnections() }
