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
	"unicode"
	"unicode/utf8"
)

const (
	control = 0x80000000
	magic   = 0x4f49525a
	version = 1

	messageMax, controlMax = 0xffffff, 1024
	session                = 1 // the extension that this client never asks for

	pauseMin, pauseMax = 50 * time.Millisecond, 2 * time.Second
)

const (
	opHello = 1 + iota
	opWelcome
	opReject
	opPing
	opPong
	opClose
)

// Closed says why the connection is over: the code and reason of the server's REJECT or CLOSE, or 2004 for an answer that is no WELCOME;
// or how the server broke the protocol, with the code of this client's CLOSE.
type Closed struct {
	Code      uint16
	Reason    string
	Violation bool
}

func (c *Closed) Error() string {
	if c.Reason == "" {
		return fmt.Sprintf("the server closed the connection (%d)", c.Code)
	}
	return fmt.Sprintf("%s (%d)", c.Reason, c.Code)
}

func violation(reason string) error { return &Closed{1002, reason, true} }

// passing tells ends that the next attempt may not meet: errors of the network, end of stream, going away, no verdict in time, the id is
// taken, the server is full, too many handshakes, silence.
func passing(err error) bool {
	var closed *Closed
	if errors.As(err, &closed) {
		switch closed.Code {
		case 1001, 1010, 1014, 1016, 1017, 1019, 1023:
			return true
		}
		return false
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Client is one connection. A program that is silent for long must call Receive, which answers heartbeats.
type Client struct {
	Address, ID string
	Credential  []byte
	Longest     uint32 // the longest message that this client accepts
	ServerID    string

	serverLongest uint32 // the longest message that the server accepts
	pause         time.Duration
	conn          net.Conn
	reader        *bufio.Reader
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
	greeting, err := hello(c.ID, c.Credential, c.Longest)
	if err != nil {
		return err
	}
	if _, err = c.conn.Write(greeting); err != nil {
		return err
	}
	return c.takeAnswer()
}

// takeAnswer reads the answer to HELLO. Nothing is sent to a server whose answer is wrong.
func (c *Client) takeAnswer() error {
	err := c.readAnswer()
	if closed, ok := err.(*Closed); ok && closed.Violation {
		return &Closed{Code: 2004, Reason: "this is no zerio server: " + closed.Reason}
	}
	return err
}

func (c *Client) readAnswer() error {
	high, payload, err := readFrame(c.reader, c.Longest)
	if err != nil {
		return err
	}
	switch high {
	case control | opReject<<24:
		return closedBy(payload)
	case control | opWelcome<<24:
		c.ServerID, c.serverLongest, err = readWelcome(payload)
		return err
	}
	return violation("the answer is no WELCOME")
}

// Reconnect connects again after a pause, which is longer each time, up to 2 s, until a message comes. It returns an end that lasts at
// once, and the last failure when its patience is over.
func (c *Client) Reconnect(patience time.Duration) error {
	c.conn.Close()
	until := time.Now().Add(patience)
	for {
		c.pause = max(pauseMin, c.pause)
		time.Sleep(c.pause/2 + time.Duration(rand.Int63n(int64(c.pause/2))))
		c.pause = min(pauseMax, 2*c.pause)
		err := c.Connect()
		if err == nil || !passing(err) || time.Now().After(until) {
			return err
		}
	}
}

// Send sends a message on a channel from 0 to 127.
func (c *Client) Send(message []byte, channel uint32) error {
	if channel > 127 {
		return fmt.Errorf("there is no channel %d", channel)
	}
	if uint64(len(message)) > uint64(c.serverLongest) {
		return fmt.Errorf("the server accepts %d bytes, and the message has %d", c.serverLongest, len(message))
	}
	return c.write(channel<<24, message)
}

// Receive returns the next message. It answers heartbeats on the way; the error at the end is a *Closed when one side said why.
func (c *Client) Receive() (channel uint32, message []byte, err error) {
	channel, message, err = c.next()
	if err == nil {
		c.pause = pauseMin
		return
	}
	if closed, ok := err.(*Closed); ok && closed.Violation {
		c.end(closed.Code)
	}
	c.conn.Close()
	return
}

func (c *Client) next() (channel uint32, message []byte, err error) {
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
			if err = c.write(control|opPong<<24, payload); err != nil {
				return 0, nil, err
			}
		case opcode == opClose:
			return 0, nil, closedBy(payload)
		case opcode != opPong || len(payload) != 8:
			return 0, nil, violation("a control frame that is unknown or malformed")
		}
	}
}

// Close ends the connection. It tells of no errors, because a server that has gone already is no trouble.
func (c *Client) Close() { c.end(1000) }

// end says that this side has ended, and waits for the end of the other: closing with unread bytes would reset the connection.
func (c *Client) end(code uint16) {
	defer c.conn.Close()
	c.conn.SetDeadline(time.Now().Add(5 * time.Second))
	if c.write(control|opClose<<24, []byte{byte(code), byte(code >> 8)}) == nil {
		c.conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c.reader)
	}
}

func (c *Client) write(high uint32, payload []byte) error {
	bytes, err := frame(high, payload)
	if err == nil {
		_, err = c.conn.Write(bytes)
	}
	return err
}

func min(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}

func max(a, b time.Duration) time.Duration {
	if a > b {
		return a
	}
	return b
}

// A frame is a header, whose low 24 bits are the length of the payload, and the payload.
func frame(high uint32, payload []byte) ([]byte, error) {
	if len(payload) > messageMax || high&control != 0 && len(payload) > controlMax {
		return nil, fmt.Errorf("%d bytes are too long for a frame", len(payload))
	}
	bytes := make([]byte, 4, 4+len(payload))
	binary.LittleEndian.PutUint32(bytes, high|uint32(len(payload)))
	return append(bytes, payload...), nil
}

func readFrame(r io.Reader, longest uint32) (high uint32, payload []byte, err error) {
	var head [4]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return
	}
	header := binary.LittleEndian.Uint32(head[:])
	length := header & 0xffffff
	if header&control != 0 && length > controlMax {
		return 0, nil, violation("the server announced too long a control frame")
	}
	if header&control == 0 && length > longest {
		return 0, nil, &Closed{1003, "the server announced too long a message", true}
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(r, payload)
	return header &^ 0xffffff, payload, err
}

func hello(id string, credential []byte, longest uint32) ([]byte, error) {
	payload := make([]byte, 16, 16+len(id)+len(credential))
	binary.LittleEndian.PutUint32(payload, magic)
	payload[4] = version
	binary.LittleEndian.PutUint16(payload[6:], uint16(len(id)))
	binary.LittleEndian.PutUint32(payload[8:], longest)
	binary.LittleEndian.PutUint16(payload[12:], uint16(len(credential)))
	return frame(control|opHello<<24, append(append(payload, id...), credential...))
}

// readWelcome returns the server's id, and the longest message that it accepts.
func readWelcome(payload []byte) (id string, longest uint32, err error) {
	if len(payload) < 16 {
		return "", 0, violation("too short a WELCOME")
	}
	idBytes, longest := int(binary.LittleEndian.Uint16(payload[6:])), binary.LittleEndian.Uint32(payload[8:])
	credentialBytes, extensionsBytes := int(binary.LittleEndian.Uint16(payload[12:])), int(binary.LittleEndian.Uint16(payload[14:]))
	switch {
	case binary.LittleEndian.Uint32(payload) != magic || payload[4] != version || payload[5] != 0 || longest > messageMax:
		return "", 0, violation("a WELCOME of another protocol")
	case len(payload) != 16+idBytes+credentialBytes+extensionsBytes:
		return "", 0, violation("a WELCOME whose lengths do not add up")
	case idBytes == 0 || idBytes > 255 || credentialBytes > 512 || extensionsBytes > 512:
		return "", 0, violation("a WELCOME with too long a field, or without an id")
	}
	id = string(payload[16 : 16+idBytes])
	if !utf8.ValidString(id) || strings.IndexFunc(id, unicode.IsControl) >= 0 {
		return "", 0, violation("a server id that is not UTF-8, or has a control character")
	}
	return id, longest, checkExtensions(payload[len(payload)-extensionsBytes:])
}

func checkExtensions(data []byte) error {
	types := map[uint16]bool{session: true}
	for len(data) > 0 {
		if len(data) < 4 || len(data) < 4+int(binary.LittleEndian.Uint16(data[2:])) {
			return violation("an extension that is cut")
		}
		kind := binary.LittleEndian.Uint16(data)
		if types[kind] {
			return violation("an extension that is there twice, or not asked for")
		}
		types[kind] = true
		data = data[4+int(binary.LittleEndian.Uint16(data[2:])):]
	}
	return nil
}

// closedBy returns what the server's REJECT or CLOSE says.
func closedBy(payload []byte) error {
	if len(payload) < 2 || len(payload) > 258 {
		return violation("a farewell of a wrong length")
	}
	code := binary.LittleEndian.Uint16(payload)
	if code >= 2000 && code <= 2999 {
		return violation(fmt.Sprintf("a farewell with the code %d, which must not be sent", code))
	}
	if !utf8.Valid(payload[2:]) {
		return violation("a reason that is not UTF-8")
	}
	return &Closed{Code: code, Reason: string(payload[2:])}
}

type vector struct {
	Name, Bytes, Payload, Credential string
	High, Start, Send                *uint32
	ID                               *string
	Longest, Channel                 uint32
	Code                             uint16
}

func (v vector) agrees() bool {
	data, _ := hex.DecodeString(strings.ReplaceAll(v.Bytes, " ", ""))
	client := Client{Longest: 65536, reader: bufio.NewReader(bytes.NewReader(data))}
	switch {
	case v.High != nil:
		payload, _ := hex.DecodeString(strings.ReplaceAll(v.Payload, " ", ""))
		written, _ := frame(*v.High, payload)
		var high uint32
		var read []byte
		var err error
		if *v.High&control != 0 {
			high, read, err = readFrame(client.reader, 65536)
		} else {
			high, read, err = client.next()
			high <<= 24
		}
		return bytes.Equal(written, data) && err == nil && high == *v.High && bytes.Equal(read, payload)
	case v.ID != nil:
		written, _ := hello(*v.ID, []byte(v.Credential), v.Longest)
		return bytes.Equal(written, data)
	case v.Start != nil:
		return codeOf(client.takeAnswer()) == uint16(*v.Start)
	case v.Send != nil:
		// No connection is there to write to.
		return client.takeAnswer() == nil && client.Send(make([]byte, *v.Send), v.Channel) != nil
	}
	_, _, err := client.next()
	return codeOf(err) == v.Code
}

// codeOf returns the code with which the connection ends, 0 if it goes on, and 1 for an error without a code.
func codeOf(err error) uint16 {
	if err == nil {
		return 0
	}
	var closed *Closed
	if errors.As(err, &closed) {
		return closed.Code
	}
	return 1
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
			return errors.New("the client disagrees with the vector: " + one.Name)
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
		if !passing(err) {
			return
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
	defer client.Close()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, messageMax)
	for lines.Scan() {
		answer, err := client.ask(lines.Bytes())
		if err != nil {
			return err
		}
		fmt.Println(string(answer))
	}
	return lines.Err()
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
