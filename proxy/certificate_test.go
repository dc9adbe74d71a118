package proxy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"sluice/proxy"
)

func TestCertificateIsMadeOnceAndItsKeyIsPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	first, err := proxy.LoadOrCreateCertificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := proxy.LoadOrCreateCertificate(dir)
	if err != nil || !bytes.Equal(first.Certificate[0], second.Certificate[0]) {
		t.Errorf("another certificate the second time: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "server-key.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "server-cert.pem"), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := proxy.LoadOrCreateCertificate(dir); err == nil {
		t.Error("a damaged certificate was replaced without a word")
	}
}
