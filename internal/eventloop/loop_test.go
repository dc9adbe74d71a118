package eventloop_test

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"sluice/internal/eventloop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handler tells a channel of its calls.
type handler func(eventloop.Events, []byte)

func (h handler) Ready(e eventloop.Events, scratch []byte) { h(e, scratch) }

func run(t *testing.T) *eventloop.Loop {
	t.Helper()
	loop, err := eventloop.New()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- loop.Run() }()
	t.Cleanup(func() {
		if err := loop.Stop(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return loop
}

func pair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func want(t *testing.T, w *eventloop.Watch, events eventloop.Events) {
	t.Helper()
	if err := w.Want(events); err != nil {
		t.Fatal(err)
	}
}

func TestHandlersHearOfWhatTheyWant(t *testing.T) {
	loop := run(t)
	a, b := pair(t)
	heard := make(chan string)
	watch := loop.Watch(a, handler(func(e eventloop.Events, scratch []byte) {
		said := fmt.Sprint(e)
		if e&eventloop.Readable != 0 {
			n, err := unix.Read(a, scratch)
			said += fmt.Sprint(" ", string(scratch[:max(n, 0)]), err)
		}
		heard <- said
	}))
	defer watch.Forget()

	want(t, watch, eventloop.Writable)
	if got := <-heard; got != "2" {
		t.Errorf("got %q, want writable", got)
	}
	want(t, watch, eventloop.Readable)
	if _, err := unix.Write(b, []byte("x")); err != nil {
		t.Fatal(err)
	}
	got := <-heard
	if got == "2" { // a last call for writing was under way
		got = <-heard
	}
	if got != "1 x<nil>" {
		t.Errorf("got %q, want the byte", got)
	}
}

func TestPeerThatLeavesIsReadable(t *testing.T) {
	loop := run(t)
	a, b := pair(t)
	heard := make(chan eventloop.Events)
	var watch *eventloop.Watch
	ready := make(chan struct{})
	watch = loop.Watch(a, handler(func(e eventloop.Events, _ []byte) {
		<-ready
		watch.Forget()
		heard <- e
	}))
	want(t, watch, eventloop.Readable)
	close(ready)
	if err := unix.Shutdown(b, unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	if e := <-heard; e&eventloop.Readable == 0 {
		t.Errorf("heard %v", e)
	}
}

func TestForgottenDescriptorIsNotHeardOf(t *testing.T) {
	loop := run(t)
	a, b := pair(t)
	first := loop.Watch(a, handler(func(eventloop.Events, []byte) { t.Error("a forgotten handler was called") }))
	first.Forget()
	heard := make(chan struct{})
	var second *eventloop.Watch
	ready := make(chan struct{})
	second = loop.Watch(a, handler(func(eventloop.Events, []byte) {
		<-ready
		second.Forget()
		close(heard)
	}))
	want(t, second, eventloop.Readable)
	close(ready)
	if _, err := unix.Write(b, []byte("x")); err != nil {
		t.Fatal(err)
	}
	<-heard
}

func TestDescriptorThatCannotBeWatchedIsAnError(t *testing.T) {
	loop := run(t)
	w := loop.Watch(-1, handler(func(eventloop.Events, []byte) {}))
	defer w.Forget()
	if err := w.Want(eventloop.Readable); err == nil {
		t.Error("no error")
	}
}
