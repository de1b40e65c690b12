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
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
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
  // Refusals that the next attempt may not meet: going away, the id is taken, the server is full, too many handshakes.
  private static final Set<Integer> PASSING = Set.of(1001, 1014, 1016, 1017);

  /** The server ended the connection: the code and reason of its REJECT or CLOSE. */
  public static final class Closed extends IOException {
    public final int code;

    Closed(int code, String reason) {
      super(reason + " (" + code + ")");
      this.code = code;
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
    socket.connect(new InetSocketAddress(host, port), 5000);
    socket.setTcpNoDelay(true);
    socket.setSoTimeout(5000);
    input = new DataInputStream(new BufferedInputStream(socket.getInputStream()));
    output = socket.getOutputStream();
    output.write(hello(id, credential, longest));
    Frame frame = readFrame(input, longest);
    if (frame.high == (CONTROL | REJECT << 24)) throw closedBy(frame.payload);
    if (frame.high != (CONTROL | WELCOME << 24) || frame.payload.length < 16)
      throw new Closed(1002, "this is no zerio server");
    int idBytes = little(frame.payload).getShort(6) & 0xffff;
    serverId = new String(frame.payload, 16, idBytes, StandardCharsets.UTF_8);
    socket.setSoTimeout(0);
  }

  /** Connects after 50 ms, then after twice as long, up to 2 s. Throws a lasting refusal, and the last failure at the end. */
  public void reconnect(long patienceMs) throws IOException, InterruptedException {
    socket.close();
    long until = System.nanoTime() + patienceMs * 1_000_000;
    for (long pause = 50; ; pause = Math.min(2000, 2 * pause)) {
      Thread.sleep(ThreadLocalRandom.current().nextLong(pause / 2, pause));
      try {
        connect();
        return;
      } catch (IOException error) {
        socket.close();
        boolean lasts = error instanceof Closed && !PASSING.contains(((Closed) error).code);
        if (lasts || System.nanoTime() > until) throw error;
      }
    }
  }

  /** Sends a message on a channel from 0 to 127. */
  public void send(byte[] message, int channel) throws IOException {
    output.write(frame(channel << 24, message));
  }

  /** The next message. Answers heartbeats on the way; throws Closed when the server ends the connection and says why. */
  public byte[] receive() throws IOException {
    for (;;) {
      Frame frame = readFrame(input, longest);
      if ((frame.high & CONTROL) == 0) return frame.payload;
      int opcode = frame.high >> 24 & 0x7f;
      if (opcode == CLOSE) throw closedBy(frame.payload);
      if ((opcode != PING && opcode != PONG) || frame.payload.length != 8) throw new Closed(1002, "unknown control frame");
      if (opcode == PING) output.write(frame(CONTROL | PONG << 24, frame.payload));
    }
  }

  /** Says that this side has ended, and waits for the end of the other: closing with unread bytes would reset the connection. */
  public void close() throws IOException {
    output.write(frame(CONTROL | CLOSE << 24, new byte[] {(byte) 0xe8, 0x03}));
    socket.shutdownOutput();
    while (input.read() >= 0) {}
    socket.close();
  }

  private static ByteBuffer little(byte[] bytes) {
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  // A frame is a header, whose low 24 bits are the length of the payload, and the payload.
  private static byte[] frame(int high, byte[] payload) {
    byte[] bytes = new byte[4 + payload.length];
    little(bytes).putInt(high | payload.length).put(payload);
    return bytes;
  }

  private static Frame readFrame(DataInputStream input, int longest) throws IOException {
    int header = Integer.reverseBytes(input.readInt());
    int length = header & 0xffffff;
    boolean isControl = (header & CONTROL) != 0;
    if (length > (isControl ? 1024 : longest)) throw new Closed(isControl ? 1002 : 1003, "too long a frame");
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

  private static Closed closedBy(byte[] payload) {
    if (payload.length < 2 || payload.length > 258) return new Closed(1002, "malformed farewell");
    return new Closed(little(payload).getShort() & 0xffff, new String(payload, 2, payload.length - 2, StandardCharsets.UTF_8));
  }

  private static byte[] hex(String text) {
    String digits = text.replace(" ", "");
    byte[] bytes = new byte[digits.length() / 2];
    for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) Integer.parseInt(digits.substring(2 * i, 2 * i + 2), 16);
    return bytes;
  }

  private static boolean agrees(Map<String, String> vector) throws IOException {
    byte[] bytes = hex(vector.get("bytes"));
    InputStream stream = new ByteArrayInputStream(bytes);
    if (vector.containsKey("high")) {
      int high = Integer.parseUnsignedInt(vector.get("high"));
      byte[] payload = hex(vector.get("payload"));
      Frame read = readFrame(new DataInputStream(stream), 65536);
      return Arrays.equals(frame(high, payload), bytes) && read.high == high && Arrays.equals(read.payload, payload);
    }
    if (vector.containsKey("id")) {
      byte[] credential = vector.get("credential").getBytes(StandardCharsets.UTF_8);
      return Arrays.equals(hello(vector.get("id"), credential, Integer.parseInt(vector.get("longest"))), bytes);
    }
    ZerioClient client = new ZerioClient("", 0, "", new byte[0], 65536);
    client.input = new DataInputStream(stream);
    try {
      client.receive();
      return false;
    } catch (Closed closed) {
      return closed.code == Integer.parseInt(vector.get("code"));
    }
  }

  // The vectors are flat objects of strings without escapes and whole numbers, so that no JSON library is needed.
  private static void checkVectors(String path) throws IOException {
    Matcher objects = Pattern.compile("\\{[^{}]*\\}").matcher(Files.readString(Path.of(path)));
    int count = 0;
    for (; objects.find(); count++) {
      Map<String, String> vector = new HashMap<>();
      Matcher fields = Pattern.compile("\"(\\w+)\":\\s*(?:\"([^\"]*)\"|(\\d+))").matcher(objects.group());
      while (fields.find()) vector.put(fields.group(1), fields.group(2) != null ? fields.group(2) : fields.group(3));
      if (!agrees(vector)) throw new IOException(vector.get("name"));
    }
    System.out.println(count + " vectors agree");
  }

  private String ask(String line) throws IOException, InterruptedException {
    for (;;) {
      try {
        send(line.getBytes(StandardCharsets.UTF_8), 0);
        return new String(receive(), StandardCharsets.UTF_8);
      } catch (IOException lost) {
        // The answer did not come, so the message may be lost: it is sent again.
        reconnect(30_000);
      }
    }
  }

  public static void main(String[] args) throws IOException, InterruptedException {
    if (args[0].equals("vectors")) {
      checkVectors(args[1]);
      return;
    }
    ZerioClient client = new ZerioClient("127.0.0.1", Integer.parseInt(args[0]), args[1], new byte[0], 65536);
    client.connect();
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      System.out.write((client.ask(line) + "\n").getBytes(StandardCharsets.UTF_8));
      System.out.flush();
    }
    client.close();
  }
}
