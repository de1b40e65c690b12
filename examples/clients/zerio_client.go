// A zerio client for Go 1.18 and later, standard library only: docs/protocol.md as a program.
//
// As a program it sends each line of its input as a message, prints one message for each, and connects again when the connection ends:
//
//	go run zerio_client.go PORT PEER_ID
//	go run zerio_client.go vectors test/wire/vectors.json
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"strings"
	"time"
)

const (
	control = 0x80000000
	magic   = 0x4f49525a
	version = 1
)

const (
	opHello = 1 + iota
	opWelcome
	opReject
	opPing
	opPong
	opClose
)

// Closed says that the server ended the connection: the code and reason of its REJECT or CLOSE.
type Closed struct {
	Code   uint16
	Reason string
}

func (c *Closed) Error() string { return fmt.Sprintf("the server closed the connection: %d %s", c.Code, c.Reason) }

// passing tells refusals that the next attempt may not meet: going away, the id is taken, the server is full, too many handshakes.
func passing(err error) bool {
	var closed *Closed
	if !errors.As(err, &closed) {
		return true
	}
	return closed.Code == 1001 || closed.Code == 1014 || closed.Code == 1016 || closed.Code == 1017
}

// Client is one connection. A program that is silent for long must call Receive, which answers heartbeats.
type Client struct {
	Address, ID string
	Credential  []byte
	Longest     uint32 // the longest message that this client accepts
	ServerID    string
	conn        net.Conn
	reader      *bufio.Reader
}

// Connect says who this client is, and returns when the server has taken it.
func (c *Client) Connect() error {
	conn, err := net.DialTimeout("tcp", c.Address, 5*time.Second)
	if err != nil {
		return err
	}
	c.conn, c.reader = conn, bufio.NewReader(conn)
	if err = c.greet(); err != nil {
		conn.Close()
	}
	return err
}

func (c *Client) greet() error {
	c.conn.SetDeadline(time.Now().Add(5 * time.Second))
	defer c.conn.SetDeadline(time.Time{})
	if _, err := c.conn.Write(hello(c.ID, c.Credential, c.Longest)); err != nil {
		return err
	}
	high, payload, err := readFrame(c.reader, c.Longest)
	if err != nil {
		return err
	}
	switch {
	case high == control|opReject<<24:
		return closedBy(payload)
	case high != control|opWelcome<<24 || len(payload) < 16 || len(payload) < 16+int(binary.LittleEndian.Uint16(payload[6:])):
		return &Closed{1002, "this is no zerio server"}
	}
	c.ServerID = string(payload[16 : 16+binary.LittleEndian.Uint16(payload[6:])])
	return nil
}

// Reconnect connects after 50 ms, then after twice as long, up to 2 s. It returns a lasting refusal, and the last failure at the end.
func (c *Client) Reconnect(patience time.Duration) error {
	c.conn.Close()
	until := time.Now().Add(patience)
	for pause := 50 * time.Millisecond; ; pause = min(2*time.Second, 2*pause) {
		time.Sleep(pause/2 + time.Duration(rand.Int63n(int64(pause/2))))
		err := c.Connect()
		if err == nil || !passing(err) || time.Now().After(until) {
			return err
		}
	}
}

// Send sends a message on a channel from 0 to 127.
func (c *Client) Send(message []byte, channel uint32) error {
	_, err := c.conn.Write(frame(channel<<24, message))
	return err
}

// Receive returns the next message. It answers heartbeats on the way; the error at the end is a *Closed when the server said why.
func (c *Client) Receive() (channel uint32, message []byte, err error) {
	for {
		high, payload, err := readFrame(c.reader, c.Longest)
		if err != nil {
			return 0, nil, err
		}
		if high&control == 0 {
			return high >> 24, payload, nil
		}
		switch opcode := high >> 24 & 0x7f; {
		case opcode == opPing && len(payload) == 8:
			if _, err = c.conn.Write(frame(control|opPong<<24, payload)); err != nil {
				return 0, nil, err
			}
		case opcode == opClose:
			return 0, nil, closedBy(payload)
		case opcode != opPong || len(payload) != 8:
			return 0, nil, &Closed{1002, "unknown control frame"}
		}
	}
}

// Close says that this side has ended, and waits for the end of the other: closing with unread bytes would reset the connection.
func (c *Client) Close() error {
	if _, err := c.conn.Write(frame(control|opClose<<24, []byte{0xe8, 0x03})); err != nil {
		return err
	}
	c.conn.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, c.reader)
	return c.conn.Close()
}

func min(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}

// A frame is a header, whose low 24 bits are the length of the payload, and the payload.
func frame(high uint32, payload []byte) []byte {
	bytes := make([]byte, 4, 4+len(payload))
	binary.LittleEndian.PutUint32(bytes, high|uint32(len(payload)))
	return append(bytes, payload...)
}

func readFrame(r io.Reader, longest uint32) (high uint32, payload []byte, err error) {
	var head [4]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return
	}
	header := binary.LittleEndian.Uint32(head[:])
	length := header & 0xffffff
	if header&control != 0 && length > 1024 {
		return 0, nil, &Closed{1002, "too long a control frame"}
	}
	if header&control == 0 && length > longest {
		return 0, nil, &Closed{1003, "too long a message"}
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(r, payload)
	return header &^ 0xffffff, payload, err
}

func hello(id string, credential []byte, longest uint32) []byte {
	payload := make([]byte, 16, 16+len(id)+len(credential))
	binary.LittleEndian.PutUint32(payload, magic)
	payload[4] = version
	binary.LittleEndian.PutUint16(payload[6:], uint16(len(id)))
	binary.LittleEndian.PutUint32(payload[8:], longest)
	binary.LittleEndian.PutUint16(payload[12:], uint16(len(credential)))
	return frame(control|opHello<<24, append(append(payload, id...), credential...))
}

func closedBy(payload []byte) error {
	if len(payload) < 2 || len(payload) > 258 {
		return &Closed{1002, "malformed farewell"}
	}
	return &Closed{binary.LittleEndian.Uint16(payload), string(payload[2:])}
}

type vector struct {
	Name, Bytes, Payload, Credential string
	High                             *uint32
	ID                               *string
	Longest                          uint32
	Code                             uint16
}

func (v vector) agrees() bool {
	data, _ := hex.DecodeString(strings.ReplaceAll(v.Bytes, " ", ""))
	if v.High != nil {
		payload, _ := hex.DecodeString(strings.ReplaceAll(v.Payload, " ", ""))
		high, read, err := readFrame(bytes.NewReader(data), 65536)
		return bytes.Equal(frame(*v.High, payload), data) && err == nil && high == *v.High && bytes.Equal(read, payload)
	}
	if v.ID != nil {
		return bytes.Equal(hello(*v.ID, []byte(v.Credential), v.Longest), data)
	}
	client := Client{Longest: 65536, reader: bufio.NewReader(bytes.NewReader(data))}
	_, _, err := client.Receive()
	var closed *Closed
	return errors.As(err, &closed) && closed.Code == v.Code
}

func checkVectors(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var vectors []vector
	if err = json.Unmarshal(text, &vectors); err != nil {
		return err
	}
	for _, one := range vectors {
		if !one.agrees() {
			return errors.New(one.Name)
		}
	}
	fmt.Printf("%d vectors agree\n", len(vectors))
	return nil
}

func (c *Client) ask(line []byte) (answer []byte, err error) {
	for {
		if err = c.Send(line, 0); err == nil {
			if _, answer, err = c.Receive(); err == nil {
				return
			}
		}
		// The answer did not come, so the message may be lost: it is sent again.
		if err = c.Reconnect(30 * time.Second); err != nil {
			return
		}
	}
}

func converse(port, id string) error {
	client := &Client{Address: "127.0.0.1:" + port, ID: id, Longest: 65536}
	if err := client.Connect(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		answer, err := client.ask(lines.Bytes())
		if err != nil {
			return err
		}
		fmt.Println(string(answer))
	}
	return client.Close()
}

func main() {
	run := converse
	if os.Args[1] == "vectors" {
		run = func(_, path string) error { return checkVectors(path) }
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
