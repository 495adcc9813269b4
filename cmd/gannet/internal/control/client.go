package control

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
)

// ErrNoBroker tells that nobody answers on the socket of a data folder.
var ErrNoBroker = errors.New("no broker answers")

// Backup has the broker that serves the store in dir copy it to the absolute path to, as the broker's user sees it. progress
// is called on the caller's goroutine. When ctx ends the call does, and the broker goes on with the copy.
func Backup(ctx context.Context, dir, to string, progress func(what string, done, total int64)) error {
	answer, err := ask(ctx, dir, http.MethodPost, "/backup?to="+url.QueryEscape(to))
	if err != nil {
		return err
	}
	defer answer.Close()
	lines := bufio.NewScanner(answer)
	for lines.Scan() {
		var s step
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return fmt.Errorf("answer of the broker: %w", err)
		}
		switch {
		case s.Error != "":
			return errors.New(s.Error)
		case s.End:
			return nil
		}
		progress(s.What, s.Done, s.Total)
	}
	if err := cmp.Or(ctx.Err(), lines.Err()); err != nil {
		return fmt.Errorf("answer of the broker: %w", err)
	}
	return errors.New("the broker ended before the copy was complete")
}

// ReadInfo asks the broker that serves the store in dir.
func ReadInfo(ctx context.Context, dir string) (Info, error) {
	answer, err := ask(ctx, dir, http.MethodGet, "/info")
	if err != nil {
		return Info{}, err
	}
	defer answer.Close()
	var i Info
	if err := json.NewDecoder(answer).Decode(&i); err != nil {
		return Info{}, fmt.Errorf("answer of the broker: %w", err)
	}
	return i, nil
}

// ask sends a request and returns the answer's body, which the caller closes. An answer other than 200 is an error with its text.
func ask(ctx context.Context, dir, method, target string) (io.ReadCloser, error) {
	socket := filepath.Join(dir, socketName)
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", socket)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoBroker, err)
		}
		return conn, nil
	}}
	request, err := http.NewRequestWithContext(ctx, method, "http://gannet"+target, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		return nil, fmt.Errorf("broker: %s", bytes.TrimSpace(text))
	}
	return response.Body, nil
}
