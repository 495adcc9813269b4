package certs_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gannetmq/gannet/engine/certs"
	"github.com/gannetmq/gannet/engine/certs/certtest"
)

// watching runs Watch in a bubble of its own time and hands the test what it told.
func watching(t *testing.T, s *site, interval time.Duration, test func(store *certs.Store, pass func(time.Duration) []certs.Event)) {
	t.Helper()
	begin := time.Now()
	synctest.Test(t, func(t *testing.T) {
		bubble := time.Now()
		s.options.Now = func() time.Time { return begin.Add(time.Since(bubble)) } // the certificates are from outside
		store := load(t, s.options)
		events := make(chan certs.Event, 1000)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			store.Watch(ctx, interval, func(e certs.Event) { events <- e })
		}()
		test(store, func(d time.Duration) (told []certs.Event) {
			time.Sleep(d) // the bubble's time
			synctest.Wait()
			for len(events) > 0 {
				told = append(told, <-events)
			}
			return told
		})
		stop()
		<-ended
	})
}

func TestWatchReloadsOnceTheFilesFit(t *testing.T) {
	s := newSite(t)
	watching(t, s, time.Second, func(store *certs.Store, pass func(time.Duration) []certs.Event) {
		if got := pass(10 * time.Second); len(got) > 0 {
			t.Fatalf("nothing changed: %+v", got)
		}
		renewed := s.ca.Server(t, []string{"localhost"})
		certtest.Write(t, s.dir, "server.crt", renewed.ChainPEM())
		if got := pass(time.Second); len(got) > 0 {
			t.Fatalf("half a pair, just now: %+v", got)
		}
		got := pass(10 * time.Second)
		if len(got) != 1 || got[0].Reloaded || got[0].Err == nil || !strings.Contains(got[0].Err.Error(), "do not belong together") {
			t.Fatalf("half a pair for good: %+v", got)
		}
		certtest.Write(t, s.dir, "server.key", renewed.KeyPEM())
		got = pass(10 * time.Second)
		if len(got) != 1 || !got[0].Reloaded || got[0].Err != nil {
			t.Fatalf("the pair is whole: %+v", got)
		}
		if got := store.Expiry()[0].NotAfter; !got.Equal(renewed.Cert.NotAfter) {
			t.Errorf("the renewed certificate is not used")
		}
	})
}

func TestWatchSeesEveryKindOfFile(t *testing.T) {
	s := newSite(t).withCRL()
	s.options.CAPath = s.dir
	watching(t, s, time.Second, func(store *certs.Store, pass func(time.Duration) []certs.Event) {
		pass(2 * time.Second)
		for name, change := range map[string]func(){
			"pair":      func() { s.ca.Server(t, []string{"localhost"}).Files(t, s.dir, "server") },
			"list":      func() { s.crl(s.ca.Client(t, "gone")) },
			"CA file":   func() { certtest.Write(t, s.dir, "ca.crt", s.ca.PEM(), certtest.NewCA(t, "second").PEM()) },
			"CA folder": func() { certtest.Write(t, s.dir, "third.pem", certtest.NewCA(t, "third").PEM()) },
		} {
			change()
			if got := pass(5 * time.Second); len(got) != 1 || !got[0].Reloaded {
				t.Errorf("%s: %+v", name, got)
			}
		}
	})
}

func TestExpiryIsToldOnceForEachStage(t *testing.T) {
	const day = 24 * time.Hour
	s := newSite(t)
	end := time.Now().Add(10*day + 12*time.Hour)
	cert, key := s.ca.Server(t, []string{"localhost"}, certtest.Until(end)).Files(t, s.dir, "brief")
	old, oldKey := s.ca.Server(t, []string{"localhost"}, certtest.Expired).Files(t, s.dir, "old")
	s.options.Pairs = []certs.Pair{{CertFile: cert, KeyFile: key}, {CertFile: old, KeyFile: oldKey}}
	begin := time.Now()
	watching(t, s, time.Hour, func(store *certs.Store, pass func(time.Duration) []certs.Event) {
		var days []int
		for d := range 13 {
			for _, e := range pass(day) {
				for _, x := range e.Expiring {
					if x.File != cert || x.What != "certificate" {
						t.Errorf("told of %v", x)
					}
					days = append(days, d)
				}
			}
		}
		// 10.5 days are left at first: under 14 at once, under 7 on day 3, 3 on day 7, 1 on day 9, and over on day 10.
		if want := []int{0, 3, 7, 9, 10}; !slices.Equal(days, want) {
			t.Errorf("told on days %v, want %v", days, want)
		}
		if got := store.Expiry()[0].Stage(begin); got != 2 {
			t.Errorf("stage %d with 10 days left", got)
		}
	})
}

// TestWatchFollowsLinks: a mounted secret changes by a link to another folder, whose files may be as large and as old as those before.
func TestWatchFollowsLinks(t *testing.T) {
	s := newSite(t)
	age := time.Now().Add(-time.Hour)
	folder := func(name string) string {
		dir := filepath.Join(s.dir, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		cert, key := s.ca.Server(t, []string{"localhost"}).Files(t, dir, "tls")
		for _, file := range []string{cert, key} {
			if err := os.Chtimes(file, age, age); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	link := filepath.Join(s.dir, "data")
	point := func(to string) {
		if err := os.Symlink(to, link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
	}
	point(folder("first"))
	s.options.Pairs = []certs.Pair{{CertFile: filepath.Join(link, "tls.crt"), KeyFile: filepath.Join(link, "tls.key")}}
	second := folder("second")
	watching(t, s, time.Second, func(store *certs.Store, pass func(time.Duration) []certs.Event) {
		pass(2 * time.Second)
		point(second)
		if got := pass(5 * time.Second); len(got) != 1 || !got[0].Reloaded {
			t.Errorf("%+v", got)
		}
	})
}
