package mysqltest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// lockRetry is how often a lock that another process holds is tried again.
const lockRetry = 100 * time.Millisecond

// stateFolder is where things are kept from one process to the next: .sluice of
// the module that we are in, else a folder in the user's cache.
func stateFolder() (string, error) {
	folder, err := moduleRoot()
	if err != nil {
		return "", err
	}
	if folder != "" {
		folder = filepath.Join(folder, ".sluice")
	} else {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a folder to keep MySQL in: %w", err)
		}
		folder = filepath.Join(cache, "sluice")
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("make a folder to keep MySQL in: %w", err)
	}
	return folder, nil
}

// moduleRoot is the nearest folder upwards that holds Sluice's go.mod, or "".
func moduleRoot() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	for {
		if declaresSluice(filepath.Join(folder, "go.mod")) {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", nil
		}
		folder = parent
	}
}

func declaresSluice(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "module sluice" {
			return true
		}
	}
	return false
}

// makeOnce returns the folder name in the state folder. If it is not there yet,
// fill fills an empty folder, which gets the name only when it is complete: an
// interrupted fill leaves nothing that a later call takes for the real thing,
// and of several processes one fills while the others wait.
func makeOnce(ctx context.Context, name string, fill func(empty string) error) (string, error) {
	state, err := stateFolder()
	if err != nil {
		return "", err
	}
	done := filepath.Join(state, name)
	if exists(done) {
		return done, nil
	}
	unlock, err := lock(ctx, done+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(done) {
		return done, nil
	}
	unfinished := done + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	if err := os.Mkdir(unfinished, 0o755); err != nil {
		return "", err
	}
	if err := fill(unfinished); err != nil {
		return "", errors.Join(err, os.RemoveAll(unfinished))
	}
	return done, os.Rename(unfinished, done)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lock takes the lock file at path, against other processes and other goroutines.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	retry := time.NewTicker(lockRetry)
	defer retry.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		}
		select {
		case <-retry.C: // the kernel tells nobody that a lock came free
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, context.Cause(ctx)), file.Close())
		}
	}
}
