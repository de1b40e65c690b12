// A zerio client for Java 11 and later, standard library only: docs/protocol.md as a program.
//
// As a program it sends each line of its input as a message, prints one message for each, and connects again when the connection ends:
//
//   java ZerioClient.java PORT PEER_ID
//   java ZerioClient.java vectors test/wire/vectors.json
import java.io.BufferedInputStream;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** One connection. Use it from one thread; a program that is silent for long must call receive(), which answers heartbeats. */
public final class ZerioClient {
  private static final int CONTROL = 0x80000000;
  private static final int HELLO = 1, WELCOME = 2, REJECT = 3, PING = 4, PONG = 5, CLOSE = 6;
  private static final int MAGIC = 0x4f49525a;
  private static final byte VERSION = 1;
  private static final int SESSION = 1; // the extension that this client never asks for
  private static final int MESSAGE_MAX = 0xffffff, CONTROL_MAX = 1024;
  private static final int PAUSE_MIN_MS = 50, PAUSE_MAX_MS = 2000;
  // Ends that the next attempt may not meet: going away, no verdict in time, the id is taken, the server is full, too many handshakes,
  // silence.
  private static final Set<Integer> PASSING = Set.of(1001, 1010, 1014, 1016, 1017, 1019, 1023);

  /** The connection is over: the code and reason of the server's REJECT or CLOSE, or 2004 for an answer that is no WELCOME. */
  public static class Closed extends IOException {
    public final int code;
    public final String reason;

    Closed(int code, String reason) {
      super((reason.isEmpty() ? "the server closed the connection" : reason) + " (" + code + ")");
      this.code = code;
      this.reason = reason;
    }
  }

  /** The server broke the protocol. The code is the one of this client's CLOSE. */
  public static final class Violation extends Closed {
    Violation(int code, String what) {
      super(code, what);
    }

    Violation(String what) {
      this(1002, what);
    }
  }

  public static final class Message {
    public final int channel;
    public final byte[] bytes;

    Message(int channel, byte[] bytes) {
      this.channel = channel;
      this.bytes = bytes;
    }
  }

  /** `high` is the header without its length: the channel, or CONTROL and the opcode, from bit 24 on. */
  private static final class Frame {
    final int high;
    final byte[] payload;

    Frame(int high, byte[] payload) {
      this.high = high;
      this.payload = payload;
    }
  }

  private final String host;
  private final int port;
  private final String id;
  private final byte[] credential;
  private final int longest;
  private int serverLongest;
  private int pauseMs = PAUSE_MIN_MS;
  private Socket socket = new Socket();
  private DataInputStream input;
  private OutputStream output;
  public String serverId = "";

  /** `longest` is the longest message in bytes that this client accepts. */
  public ZerioClient(String host, int port, String id, byte[] credential, int longest) {
    this.host = host;
    this.port = port;
    this.id = id;
    this.credential = credential;
    this.longest = longest;
  }

  /** Says who this client is, and returns when the server has taken it. */
  public void connect() throws IOException {
    socket = new Socket();
    try {
      socket.connect(new InetSocketAddress(host, port), 5000);
      socket.setTcpNoDelay(true);
      socket.setSoTimeout(5000);
      input = new DataInputStream(new BufferedInputStream(socket.getInputStream()));
      output = socket.getOutputStream();
      output.write(hello(id, credential, longest));
      takeAnswer();
      socket.setSoTimeout(0);
    } catch (IOException | RuntimeException error) {
      socket.close();
      throw error;
    }
  }

  /**
   * Connects again after a pause, which is longer each time, up to 2 s, until a message comes. Throws an end that lasts at once, and the
   * last failure when its patience is over.
   */
  public void reconnect(long patienceMs) throws IOException, InterruptedException {
    socket.close();
    long until = System.nanoTime() + patienceMs * 1_000_000;
    for (;;) {
      Thread.sleep(ThreadLocalRandom.current().nextLong(pauseMs / 2, pauseMs));
      pauseMs = Math.min(PAUSE_MAX_MS, 2 * pauseMs);
      try {
        connect();
        return;
      } catch (IOException error) {
        if (!isPassing(error) || System.nanoTime() > until) throw error;
      }
    }
  }

  /** Sends a message on a channel from 0 to 127. */
  public void send(byte[] message, int channel) throws IOException {
    if (channel < 0 || channel > 127) throw new IllegalArgumentException("there is no channel " + channel);
    if (message.length > serverLongest)
      throw new IllegalArgumentException("the server accepts " + serverLongest + " bytes, and the message has " + message.length);
    output.write(frame(channel << 24, message));
  }

  /** The next message. Answers heartbeats on the way; throws Closed when one side ends the connection and says why. */
  public Message receive() throws IOException {
    try {
      Message message = next();
      pauseMs = PAUSE_MIN_MS;
      return message;
    } catch (Violation violation) {
      end(violation.code);
      throw violation;
    } catch (Closed closed) {
      socket.close();
      throw closed;
    }
  }

  /** Ends the connection. A server that has gone already is no trouble. */
  public void close() throws IOException {
    end(1000);
  }

  // Says that this side has ended, and waits for the end of the other: closing with unread bytes would reset the connection.
  private void end(int code) throws IOException {
    try {
      socket.setSoTimeout(5000);
      output.write(frame(CONTROL | CLOSE << 24, new byte[] {(byte) code, (byte) (code >> 8)}));
      socket.shutdownOutput();
      while (input.read() >= 0) {}
    } catch (IOException gone) {
      // The server has gone.
    } finally {
      socket.close();
    }
  }

  private static boolean isPassing(IOException error) {
    return !(error instanceof Closed) || PASSING.contains(((Closed) error).code);
  }

  // Reads the answer to HELLO. Nothing is sent to a server whose answer is wrong.
  private void takeAnswer() throws IOException {
    try {
      Frame frame = readFrame(input, longest);
      if (frame.high == (CONTROL | REJECT << 24)) throw closedBy(frame.payload);
      if (frame.high != (CONTROL | WELCOME << 24)) throw new Violation("the answer is no WELCOME");
      readWelcome(frame.payload);
    } catch (Violation violation) {
      throw new Closed(2004, "this is no zerio server: " + violation.reason);
    }
  }

  private void readWelcome(byte[] payload) throws Violation {
    if (payload.length < 16) throw new Violation("too short a WELCOME");
    ByteBuffer fields = little(payload);
    int idBytes = fields.getShort(6) & 0xffff;
    int credentialBytes = fields.getShort(12) & 0xffff, extensionsBytes = fields.getShort(14) & 0xffff;
    long announced = fields.getInt(8) & 0xffffffffL;
    if (fields.getInt(0) != MAGIC || payload[4] != VERSION || payload[5] != 0 || announced > MESSAGE_MAX)
      throw new Violation("a WELCOME of another protocol");
    if (payload.length != 16 + idBytes + credentialBytes + extensionsBytes) throw new Violation("a WELCOME whose lengths do not add up");
    if (idBytes == 0 || idBytes > 255 || credentialBytes > 512 || extensionsBytes > 512)
      throw new Violation("a WELCOME with too long a field, or without an id");
    checkExtensions(fields.position(payload.length - extensionsBytes));
    serverId = text(payload, 16, idBytes);
    serverLongest = (int) announced;
    if (serverId.chars().anyMatch(Character::isISOControl)) throw new Violation("a server id with a control character");
  }

  private static void checkExtensions(ByteBuffer extensions) throws Violation {
    Set<Integer> types = new HashSet<>(Set.of(SESSION));
    while (extensions.hasRemaining()) {
      if (extensions.remaining() < 4) throw new Violation("an extension that is cut");
      int type = extensions.getShort() & 0xffff, length = extensions.getShort() & 0xffff;
      if (extensions.remaining() < length) throw new Violation("an extension that is cut");
      if (!types.add(type)) throw new Violation("an extension that is there twice, or not asked for");
      extensions.position(extensions.position() + length);
    }
  }

  private Message next() throws IOException {
    for (;;) {
      Frame frame = readFrame(input, longest);
      if ((frame.high & CONTROL) == 0) return new Message(frame.high >> 24, frame.payload);
      int opcode = frame.high >> 24 & 0x7f;
      if (opcode == CLOSE) throw closedBy(frame.payload);
      if ((opcode != PING && opcode != PONG) || frame.payload.length != 8)
        throw new Violation("a control frame that is unknown or malformed");
      if (opcode == PING) output.write(frame(CONTROL | PONG << 24, frame.payload));
    }
  }

  private static ByteBuffer little(byte[] bytes) {
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  // A frame is a header, whose low 24 bits are the length of the payload, and the payload.
  private static byte[] frame(int high, byte[] payload) {
    if (payload.length > ((high & CONTROL) != 0 ? CONTROL_MAX : MESSAGE_MAX))
      throw new IllegalArgumentException(payload.length + " bytes are too long for a frame");
    byte[] bytes = new byte[4 + payload.length];
    little(bytes).putInt(high | payload.length).put(payload);
    return bytes;
  }

  private static Frame readFrame(DataInputStream input, int longest) throws IOException {
    int header = Integer.reverseBytes(input.readInt());
    int length = header & 0xffffff;
    boolean isControl = (header & CONTROL) != 0;
    if (length > (isControl ? CONTROL_MAX : longest))
      throw new Violation(isControl ? 1002 : 1003, "the server announced too long a frame");
    byte[] payload = new byte[length];
    input.readFully(payload);
    return new Frame(header & 0xff000000, payload);
  }

  private static byte[] hello(String id, byte[] credential, int longest) {
    byte[] name = id.getBytes(StandardCharsets.UTF_8);
    byte[] payload = new byte[16 + name.length + credential.length];
    little(payload).putInt(MAGIC).put(VERSION).put((byte) 0).putShort((short) name.length).putInt(longest)
        .putShort((short) credential.length).putShort((short) 0).put(name).put(credential);
    return frame(CONTROL | HELLO << 24, payload);
  }

  // What the server's REJECT or CLOSE says.
  private static Closed closedBy(byte[] payload) throws Violation {
    if (payload.length < 2 || payload.length > 258) return new Violation("a farewell of a wrong length");
    int code = little(payload).getShort() & 0xffff;
    if (code >= 2000 && code <= 2999) return new Violation("a farewell with the code " + code + ", which must not be sent");
    return new Closed(code, text(payload, 2, payload.length - 2));
  }

  private static String text(byte[] bytes, int offset, int length) throws Violation {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, offset, length)).toString();
    } catch (CharacterCodingException error) {
      throw new Violation("a text that is not UTF-8");
    }
  }

  private static byte[] hex(String text) {
    String digits = text.replace(" ", "");
    byte[] bytes = new byte[digits.length() / 2];
    for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) Integer.parseInt(digits.substring(2 * i, 2 * i + 2), 16);
    return bytes;
  }

  private static boolean agrees(Map<String, String> vector) throws IOException {
    byte[] bytes = hex(vector.get("bytes"));
    ZerioClient client = new ZerioClient("", 0, "", new byte[0], 65536);
    client.input = new DataInputStream(new ByteArrayInputStream(bytes));
    if (vector.containsKey("high")) {
      int high = Integer.parseUnsignedInt(vector.get("high"));
      byte[] payload = hex(vector.get("payload"));
      if (!Arrays.equals(frame(high, payload), bytes)) return false;
      if ((high & CONTROL) == 0) {
        Message read = client.next();
        return read.channel == high >> 24 && Arrays.equals(read.bytes, payload);
      }
      Frame read = readFrame(client.input, 65536);
      return read.high == high && Arrays.equals(read.payload, payload);
    }
    if (vector.containsKey("id")) {
      byte[] credential = vector.get("credential").getBytes(StandardCharsets.UTF_8);
      return Arrays.equals(hello(vector.get("id"), credential, Integer.parseInt(vector.get("longest"))), bytes);
    }
    if (vector.containsKey("send")) {
      client.takeAnswer();
      try {
        client.send(new byte[Integer.parseInt(vector.get("send"))], Integer.parseInt(vector.get("channel")));
        return false;
      } catch (IllegalArgumentException refused) {
        return true;
      }
    }
    boolean starts = vector.containsKey("start");
    int code = 0;
    try {
      if (starts) client.takeAnswer();
      else client.next();
    } catch (Closed closed) {
      code = closed.code;
    }
    return code == Integer.parseInt(vector.get(starts ? "start" : "code"));
  }

  // The vectors are flat objects of strings without escapes and whole numbers, so that no JSON library is needed.
  private static void checkVectors(String path) throws IOException {
    Matcher objects = Pattern.compile("\\{[^{}]*\\}").matcher(Files.readString(Path.of(path)));
    int count = 0;
    for (; objects.find(); count++) {
      Map<String, String> vector = new HashMap<>();
      Matcher fields = Pattern.compile("\"(\\w+)\":\\s*(?:\"([^\"]*)\"|(\\d+))").matcher(objects.group());
      while (fields.find()) vector.put(fields.group(1), fields.group(2) != null ? fields.group(2) : fields.group(3));
      if (!agrees(vector)) throw new IOException("the client disagrees with the vector: " + vector.get("name"));
    }
    System.out.println(count + " vectors agree");
  }

  private String ask(String line) throws IOException, InterruptedException {
    for (;;) {
      try {
        send(line.getBytes(StandardCharsets.UTF_8), 0);
        return new String(receive().bytes, StandardCharsets.UTF_8);
      } catch (IOException error) {
        if (!isPassing(error)) throw error;
        // The answer did not come, so the message may be lost: it is sent again.
        reconnect(30_000);
      }
    }
  }

  private static void converse(ZerioClient client) throws IOException, InterruptedException {
    client.connect();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      System.out.write((client.ask(line) + "\n").getBytes(StandardCharsets.UTF_8));
      System.out.flush();
    }
    client.close();
  }

  public static void main(String[] args) throws InterruptedException {
    try {
      if (args[0].equals("vectors")) checkVectors(args[1]);
      else converse(new ZerioClient("127.0.0.1", Integer.parseInt(args[0]), args[1], new byte[0], 65536));
    } catch (IOException | IllegalArgumentException error) {
      System.err.println(error);
      System.exit(1);
    }
  }
}
