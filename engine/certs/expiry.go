package certs

import (
	"crypto/x509"
	"fmt"
	"time"
)

// ExpiryDays are how many days before its end a certificate or revocation list is worth a warning. Expired is one stage more.
var ExpiryDays = [...]int{30, 14, 7, 3, 1}

// Expiring is something in use that will end.
type Expiring struct {
	What     string // "certificate", "intermediate certificate", "CA" or "revocation list"
	Name     string // of the subject, or of the list's issuer
	File     string
	NotAfter time.Time
}

// String is a warning for the log, without a judgement of the time.
func (e Expiring) String() string {
	return fmt.Sprintf("%s %s (%s) expires on %s", e.What, e.File, e.Name, day(e.NotAfter))
}

// Stage counts how many of ExpiryDays have been passed: 0 while there is time, 1 with 30 days or less left, len(ExpiryDays)+1 when it is over.
func (e Expiring) Stage(now time.Time) (stage int) {
	left := e.NotAfter.Sub(now)
	for _, days := range ExpiryDays {
		if left <= time.Duration(days)*24*time.Hour {
			stage++
		}
	}
	if left < 0 {
		stage++
	}
	return stage
}

// Expiry lists everything in use that has an end, in the order of the Options.
func (s *Store) Expiry() (list []Expiring) {
	snap := s.current.Load()
	for i, pair := range snap.pairs {
		file := snap.options.Pairs[i].CertFile
		list = append(list, Expiring{"certificate", nameOf(pair.Leaf), file, pair.Leaf.NotAfter})
		for _, der := range pair.Certificate[1:] {
			if cert, err := x509.ParseCertificate(der); err == nil {
				list = append(list, Expiring{"intermediate certificate", nameOf(cert), file, cert.NotAfter})
			}
		}
	}
	for _, ca := range snap.cas.list {
		list = append(list, Expiring{"CA", nameOf(ca.cert), ca.file, ca.cert.NotAfter})
	}
	for _, crl := range snap.crls.list {
		if !crl.nextUpdate.IsZero() && !snap.options.AllowExpiredCRL {
			list = append(list, Expiring{"revocation list", nameOf(crl.issuer), crl.file, crl.nextUpdate})
		}
	}
	return list
}

// expiryLog remembers what was said about whom. It holds one entry for each thing in use.
type expiryLog struct{ stages map[Expiring]int }

// next returns those of list that have reached a further stage. What is over when it is first seen was a warning of Load and is not said again.
func (l *expiryLog) next(list []Expiring, now time.Time) (due []Expiring) {
	stages := make(map[Expiring]int, len(list))
	for _, e := range list {
		stage := e.Stage(now)
		before, seen := l.stages[e]
		if stage > before && (seen || stage <= len(ExpiryDays)) {
			due = append(due, e)
		}
		stages[e] = stage
	}
	l.stages = stages
	return due
}
