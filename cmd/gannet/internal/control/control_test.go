package control

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shortDir is a temporary folder with a short name: a socket's path is limited to about a hundred bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gannet")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func serve(t *testing.T, b Broker) (dir string, s *Server) {
	t.Helper()
	dir = shortDir(t)
	b.Log = slog.New(slog.DiscardHandler)
	s, err := Serve(dir, b)
	if err != nil {
		t.Fatal(err)
	}
	return dir, s
}

func shutDown(s *Server) {
	s.Stop()
	s.Wait()
}

func nothing(string, int64, int64) {}

func TestInfoComesAsTheBrokerTellsIt(t *testing.T) {
	want := Info{Store: "/data", PID: 7, Version: "v1", Since: time.Unix(1, 0).UTC(), Durability: "sync", Connections: 1, Sessions: 2,
		Retained: 3, PendingBytes: 4, Fault: "disk full"}
	dir, s := serve(t, Broker{Info: func() Info { return want }})
	defer shutDown(s)
	got, err := ReadInfo(t.Context(), dir)
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestBackupShowsEachStepAndItsEnd(t *testing.T) {
	var asked string
	dir, s := serve(t, Broker{Backup: func(to string, progress func(string, int64, int64)) error {
		asked = to
		for i := range int64(3) {
			progress("tables", i, 3)
		}
		if strings.HasSuffix(to, "full") {
			return errors.New("disk full")
		}
		return nil
	}})
	defer shutDown(s)
	for _, test := range []struct{ to, want string }{{"/b/with space&?", ""}, {"/b/full", "disk full"}} {
		var steps []string
		err := Backup(t.Context(), dir, test.to, func(what string, done, total int64) {
			steps = append(steps, fmt.Sprint(what, done, total))
		})
		if fmt.Sprint(steps) != "[tables0 3 tables1 3 tables2 3]" || asked != test.to || (err == nil) != (test.want == "") ||
			(err != nil && err.Error() != test.want) {
			t.Errorf("%s: steps %v, asked for %s, %v", test.to, steps, asked, err)
		}
	}
}

func TestRequestsThatCannotBeServedSayWhy(t *testing.T) {
	begun, end := make(chan bool), make(chan bool)
	dir, s := serve(t, Broker{Backup: func(string, func(string, int64, int64)) error {
		begun <- true
		<-end
		return nil
	}})
	defer shutDown(s)
	if err := Backup(t.Context(), dir, "relative", nothing); err == nil || err.Error() != `broker: to "relative": not an absolute path` {
		t.Errorf("relative: %v", err)
	}
	first := make(chan error, 1)
	go func() { first <- Backup(t.Context(), dir, "/b", nothing) }()
	<-begun
	if err := Backup(t.Context(), dir, "/c", nothing); err == nil || err.Error() != "broker: another backup is being made" {
		t.Errorf("second: %v", err)
	}
	end <- true
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := Backup(t.Context(), shortDir(t), "/b", nothing); !errors.Is(err, ErrNoBroker) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestWaitIsForTheBackupAndForNobodyElse(t *testing.T) {
	begun, finish := make(chan bool), make(chan bool)
	var done bool
	dir, s := serve(t, Broker{Backup: func(_ string, progress func(string, int64, int64)) error {
		begun <- true
		<-finish
		progress("log", 1, 1)
		done = true
		return nil
	}})
	silent, late := connect(t, dir), connect(t, dir) // one asks for nothing, one when it is too late
	defer silent.Close()
	defer late.Close()
	ended := make(chan error, 1)
	go func() { ended <- Backup(t.Context(), dir, "/b", nothing) }()
	<-begun
	s.Stop()
	if _, err := os.Stat(filepath.Join(dir, socketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket: %v", err)
	}
	if err := Backup(t.Context(), dir, "/c", nothing); !errors.Is(err, ErrNoBroker) {
		t.Errorf("a request after Stop: %v", err)
	}
	waited := make(chan bool)
	go func() { s.Wait(); close(waited) }()
	for s.requests.TryRLock() { // until Wait waits
		s.requests.RUnlock()
	}
	if response := post(t, late, "/backup?to=/c"); !strings.HasPrefix(response, "HTTP/1.1 503 ") {
		t.Errorf("a request during Wait: %s", response)
	}
	finish <- true
	<-waited
	if !done {
		t.Error("the backup was not waited for")
	}
	if err := <-ended; err != nil {
		t.Errorf("the backup: %v", err)
	}
}

func connect(t *testing.T, dir string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(dir, socketName))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// post sends a request and returns what comes back until the server closes.
func post(t *testing.T, conn net.Conn, target string) string {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://gannet"+target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if err := request.Write(conn); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Error(err)
	}
	return string(answer)
}

func TestBackupGoesOnWithoutItsClient(t *testing.T) {
	begun, end := make(chan bool), make(chan bool)
	dir, s := serve(t, Broker{Backup: func(_ string, progress func(string, int64, int64)) error {
		progress("tables", 0, 2)
		begun <- true
		<-end
		progress("tables", 1, 2)
		close(begun)
		return nil
	}})
	defer shutDown(s)
	conn := connect(t, dir)
	request, err := http.NewRequest(http.MethodPost, "http://gannet/backup?to=/b", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if err := request.Write(conn); err != nil {
		t.Fatal(err)
	}
	<-begun
	conn.Close()
	end <- true
	<-begun
}

func TestSocketIsForItsOwnerAndReplacesAStaleOne(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, socketName)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	s, err := Serve(dir, Broker{Info: func() Info { return Info{PID: 3} }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer shutDown(s)
	file, err := os.Stat(path)
	if err != nil || file.Mode().Perm() != 0o600 || file.Mode().Type() != os.ModeSocket {
		t.Errorf("socket: %v, %v", file.Mode(), err)
	}
	if i, err := ReadInfo(t.Context(), dir); err != nil || i.PID != 3 {
		t.Errorf("info: %+v, %v", i, err)
	}
}

func TestSocketThatCannotBeMadeIsAnError(t *testing.T) {
	if s, err := Serve(filepath.Join(t.TempDir(), "none"), Broker{Log: slog.New(slog.DiscardHandler)}); err == nil {
		shutDown(s)
		t.Error("no error")
	}
}
