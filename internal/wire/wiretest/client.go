// Package wiretest is a MySQL client for tests that says exactly what it is
// told, packet by packet, and sees exactly what comes back. It logs in as root
// without a password. It is not safe for use by several goroutines.
package wiretest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/wire"
)

// BaseCaps are the capabilities that every client of today asks for.
const BaseCaps = mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_SECURE_CONNECTION | mysql.CLIENT_PLUGIN_AUTH |
	mysql.CLIENT_LONG_PASSWORD | mysql.CLIENT_LONG_FLAG | mysql.CLIENT_TRANSACTIONS | mysql.CLIENT_MULTI_STATEMENTS |
	mysql.CLIENT_MULTI_RESULTS | mysql.CLIENT_PS_MULTI_RESULTS | mysql.CLIENT_LOCAL_FILES

// patience bounds every wait for the peer.
const patience = 20 * time.Second

// Client is one connection. Every failure ends the test.
type Client struct {
	net.Conn
	Greeting *wire.Greeting
	Caps     uint32
	tb       testing.TB
}

// Dial connects to addr and logs in as root with BaseCaps and more.
func Dial(tb testing.TB, addr string, more uint32) *Client {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	c := &Client{Conn: conn, Caps: BaseCaps | more, tb: tb}
	if c.Greeting, err = wire.ParseGreeting(c.Read1()[wire.HeaderLen:]); err != nil {
		tb.Fatal(err)
	}
	c.Caps &= c.Greeting.Capabilities()
	packet, _ := wire.AppendPacket(nil, 1, c.login())
	c.Write(packet)
	if answer := c.Read1(); answer[wire.HeaderLen] != mysql.OK_HEADER {
		tb.Fatalf("login as root: %q", answer)
	}
	return c
}

func (c *Client) login() []byte {
	p := binary.LittleEndian.AppendUint32(nil, c.Caps)
	p = binary.LittleEndian.AppendUint32(p, 64<<20)
	p = append(p, 255)
	p = append(p, make([]byte, 23)...)
	p = append(p, "root\x00\x00"...)
	return append(p, mysql.AUTH_CACHING_SHA2_PASSWORD+"\x00"...)
}

// Command sends a command without waiting for its answer.
func (c *Client) Command(cmd byte, args ...byte) {
	c.tb.Helper()
	packet, _ := wire.AppendPacket(nil, 0, append([]byte{cmd}, args...))
	c.Write(packet)
}

// Query sends a COM_QUERY without waiting for its answer.
func (c *Client) Query(sql string) {
	c.tb.Helper()
	c.Write(wire.AppendQuery(nil, c.Caps, sql))
}

// Write writes p as it is.
func (c *Client) Write(p []byte) {
	c.tb.Helper()
	if _, err := c.Conn.Write(p); err != nil {
		c.tb.Fatal(err)
	}
}

// Read1 reads one packet, header included.
func (c *Client) Read1() []byte {
	c.tb.Helper()
	packet, err := c.TryRead()
	if err != nil {
		c.tb.Fatalf("read a packet: %v", err)
	}
	return packet
}

// TryRead reads one packet, header included, or reports why there is none.
func (c *Client) TryRead() ([]byte, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	packet := make([]byte, wire.HeaderLen)
	if _, err := io.ReadFull(c.Conn, packet); err != nil {
		return nil, err
	}
	packet = append(packet, make([]byte, wire.PayloadLen(packet))...)
	_, err := io.ReadFull(c.Conn, packet[wire.HeaderLen:])
	return packet, err
}

// Ask sends a command and reads its answer packet by packet until response
// knows it complete, or the server waits for the client.
func (c *Client) Ask(response *wire.Response, cmd byte, args ...byte) (packets []byte, event wire.Event) {
	c.tb.Helper()
	response.Begin(cmd)
	c.Command(cmd, args...)
	return c.Rest(response)
}

// Rest reads the rest of an answer.
func (c *Client) Rest(response *wire.Response) (packets []byte, event wire.Event) {
	c.tb.Helper()
	for event == wire.More {
		packet := c.Read1()
		packets = append(packets, packet...)
		var n int
		if n, event = response.Feed(packet); n != len(packet) {
			c.tb.Fatalf("the answer ends within a packet: %d of %d bytes", n, len(packet))
		}
	}
	return packets, event
}

// ExpectOK reads one packet that must be an OK packet.
func (c *Client) ExpectOK() wire.Result {
	c.tb.Helper()
	packet := c.Read1()
	if packet[wire.HeaderLen] == mysql.ERR_HEADER {
		e, _ := wire.ParseError(packet[wire.HeaderLen:])
		c.tb.Fatal(e)
	}
	r, err := wire.ParseOK(packet[wire.HeaderLen:], c.Caps)
	if err != nil {
		c.tb.Fatalf("%v: %q", err, packet)
	}
	return r
}

// ExpectError reads one packet that must be an ERR packet with this number.
func (c *Client) ExpectError(number uint16) *wire.ServerError {
	c.tb.Helper()
	e, err := wire.ParseError(c.Read1()[wire.HeaderLen:])
	if err != nil || e.Number != number {
		c.tb.Fatalf("got %v, %v, want error %d", e, err, number)
	}
	return e
}

// Packets reads the whole answer to a command.
func (c *Client) Packets(cmd byte) []byte {
	c.tb.Helper()
	response := wire.NewResponse(c.Caps)
	response.Begin(cmd)
	packets, _ := c.Rest(&response)
	return packets
}

// Result reads the whole answer to a COM_QUERY.
func (c *Client) Result() wire.Result {
	c.tb.Helper()
	r, err := wire.ParseResult(c.Packets(mysql.COM_QUERY), c.Caps)
	if err != nil {
		c.tb.Fatal(err)
	}
	return r
}

// ExpectClosed waits until the peer closes the connection.
func (c *Client) ExpectClosed() {
	c.tb.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if n, err := io.Copy(io.Discard, c.Conn); err != nil {
		if e, ok := err.(net.Error); ok && e.Timeout() {
			c.tb.Fatal(fmt.Errorf("connection still open after %d more bytes: %w", n, err))
		}
	}
}
