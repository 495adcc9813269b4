package certs_test

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/engine/certs"
)

func TestCipherListsOfOpenSSLAndGo(t *testing.T) {
	const (
		ecdsaGCM128, rsaGCM128 = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
		ecdsaGCM256, rsaGCM256 = tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
		ecdsaCha, rsaCha       = tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
	)
	aead := []uint16{ecdsaGCM128, rsaGCM128, ecdsaGCM256, rsaGCM256, ecdsaCha, rsaCha}
	for _, test := range []struct {
		text string
		want []uint16
		warn string
	}{
		{"", nil, ""},
		{"ECDHE-RSA-AES128-GCM-SHA256", []uint16{rsaGCM128}, ""},
		{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,ECDHE-ECDSA-CHACHA20-POLY1305", []uint16{rsaGCM128, ecdsaCha}, ""},
		{"ECDHE+AESGCM:!aNULL:!MD5", []uint16{ecdsaGCM128, rsaGCM128, ecdsaGCM256, rsaGCM256}, ""},
		{"HIGH:!SHA1:!aNULL", aead, ""},
		{"!SHA1:!AES256", []uint16{ecdsaGCM128, rsaGCM128, ecdsaCha, rsaCha}, ""},
		{"ALL:!aECDSA:-SHA:+CHACHA20", []uint16{rsaGCM128, rsaGCM256, rsaCha}, ""},
		{"!AES128:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384", []uint16{ecdsaGCM256, rsaGCM256, ecdsaCha, rsaCha,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA}, ""},
		{"DHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256", []uint16{rsaGCM128}, "DHE-RSA-AES128-GCM-SHA256 does not exist here"},
		{"kEDH+CAMELLIA", nil, "leaves nothing"},
		{"DEFAULT@SECLEVEL=1", nil, "error"},
		{"ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=1", []uint16{rsaGCM128}, "@SECLEVEL=1 of the cipher list has no effect"},
		{"TLS_AES_128_GCM_SHA256", nil, "TLS 1.3 cannot be chosen"},
		{"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256", nil, ""},
		{"!RC4-SHA:ECDHE-RSA-AES128-GCM-SHA256", []uint16{rsaGCM128}, ""},
	} {
		got, warnings, err := certs.ParseCiphers(test.text)
		if test.warn == "error" {
			if err == nil {
				t.Errorf("%s: no error", test.text)
			}
			continue
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v %v", test.text, got, err)
		}
		if test.warn == "" != (len(warnings) == 0) || !strings.Contains(strings.Join(warnings, "\n"), test.warn) {
			t.Errorf("%s: warnings %q, want %q", test.text, warnings, test.warn)
		}
	}
	for text, want := range map[string]string{
		"ECDHE-RSA-AES128-GCM-SHA265":         `"ECDHE-RSA-AES128-GCM-SHA265" is unknown`,
		"FOO":                                 `"FOO" is unknown`,
		"ECDHE-RSA-AES128-GCM-SHA256:RC4-SHA": "RC4-SHA is insecure",
		"TLS_RSA_WITH_AES_128_CBC_SHA":        "TLS_RSA_WITH_AES_128_CBC_SHA is insecure",
		"ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES128-GCM-SHA256": "ECDHE-RSA-AES128-SHA256 is insecure",
	} {
		if _, _, err := certs.ParseCiphers(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestEverySuiteOfferedIsOneThatGoThinksWellOf(t *testing.T) {
	ids, warnings, err := certs.ParseCiphers("ALL")
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	for _, s := range tls.CipherSuites() {
		if slices.Contains(s.SupportedVersions, tls.VersionTLS12) != slices.Contains(ids, s.ID) {
			t.Errorf("%s: crypto/tls and the table disagree", s.Name)
		}
		if slices.Contains(ids, s.ID) {
			if got, _, err := certs.ParseCiphers(s.Name); err != nil || !slices.Equal(got, []uint16{s.ID}) {
				t.Errorf("%s: %v %v", s.Name, got, err)
			}
		}
	}
}

func TestVersionsAreReadAsMosquittoWritesThem(t *testing.T) {
	for text, want := range map[string]uint16{"tlsv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13} {
		if got, err := certs.ParseVersion(text); err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	if _, err := certs.ParseVersion("tlsv1.1"); !errors.Is(err, certs.ErrOldVersion) {
		t.Errorf("tlsv1.1: %v", err)
	}
	if _, err := certs.ParseVersion("1.2"); err == nil || errors.Is(err, certs.ErrOldVersion) {
		t.Errorf("1.2: %v", err)
	}
}
