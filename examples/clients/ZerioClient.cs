// A zerio client for C# 7 and later (.NET, or Mono), standard library only: docs/protocol.md as a program.
//
// As a program it sends each line of its input as a message, prints one message for each, and connects again when the connection ends:
//
//   mcs ZerioClient.cs && mono ZerioClient.exe PORT PEER_ID
//   mono ZerioClient.exe vectors test/wire/vectors.json
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;

/// <summary>The connection is over: the code and reason of the server's REJECT or CLOSE, or 2004 for an answer that is no WELCOME.</summary>
public class ClosedException : IOException
{
    public readonly int Code;
    public readonly string Reason;

    public ClosedException(int code, string reason)
        : base((reason == "" ? "the server closed the connection" : reason) + " (" + code + ")")
    {
        Code = code;
        Reason = reason;
    }
}

/// <summary>The server broke the protocol. The code is the one of this client's CLOSE.</summary>
public sealed class ViolationException : ClosedException
{
    public ViolationException(string what, int code = 1002) : base(code, what)
    {
    }
}

/// <summary>One connection. Use it from one thread; a program that is silent for long must call Receive, which answers heartbeats.</summary>
public sealed class ZerioClient
{
    private const uint Control = 0x80000000;
    private const uint Hello = 1, Welcome = 2, Reject = 3, Ping = 4, Pong = 5, Close = 6;
    private const uint Magic = 0x4f49525a;
    private const byte Version = 1;
    private const int Session = 1; // the extension that this client never asks for
    private const int MessageMax = 0xffffff, ControlMax = 1024;
    private const int TimeoutMs = 5000, PauseMinMs = 50, PauseMaxMs = 2000;
    // Ends that the next attempt may not meet: going away, no verdict in time, the id is taken, the server is full, too many handshakes,
    // silence.
    private static readonly int[] Passing = { 1001, 1010, 1014, 1016, 1017, 1019, 1023 };
    private static readonly Encoding StrictUtf8 = new UTF8Encoding(false, true);
    private static readonly Random Chance = new Random();

    private readonly string _host, _id;
    private readonly int _port;
    private readonly byte[] _credential;
    private readonly uint _longest;
    private uint _serverLongest;
    private int _pauseMs = PauseMinMs;
    private TcpClient _connection;
    private Stream _stream;

    public string ServerId = "";

    /// <param name="longest">the longest message in bytes that this client accepts</param>
    public ZerioClient(string host, int port, string id, byte[] credential, uint longest)
    {
        _host = host;
        _port = port;
        _id = id;
        _credential = credential;
        _longest = longest;
    }

    /// <summary>Says who this client is, and returns when the server has taken it.</summary>
    public void Connect()
    {
        _connection = new TcpClient { NoDelay = true };
        try
        {
            var connecting = _connection.BeginConnect(_host, _port, null, null);
            if (!connecting.AsyncWaitHandle.WaitOne(TimeoutMs)) throw new IOException("the server has not taken the connection in time");
            _connection.EndConnect(connecting);
            _stream = _connection.GetStream();
            _stream.ReadTimeout = TimeoutMs;
            Write(GreetingFrame(_id, _credential, _longest));
            TakeAnswer();
            _stream.ReadTimeout = Timeout.Infinite;
        }
        catch
        {
            _connection.Close();
            throw;
        }
    }

    /// <summary>
    /// Connects again after a pause, which is longer each time, up to 2 s, until a message comes. Throws an end that lasts at once, and
    /// the last failure when its patience is over.
    /// </summary>
    public void Reconnect(TimeSpan patience)
    {
        _connection.Close();
        var until = DateTime.UtcNow + patience;
        for (;;)
        {
            Thread.Sleep(Chance.Next(_pauseMs / 2, _pauseMs));
            _pauseMs = Math.Min(PauseMaxMs, 2 * _pauseMs);
            try
            {
                Connect();
                return;
            }
            catch (Exception error) when (IsPassing(error) && DateTime.UtcNow < until)
            {
            }
        }
    }

    /// <summary>Sends a message on a channel from 0 to 127.</summary>
    public void Send(byte[] message, uint channel = 0)
    {
        if (channel > 127) throw new ArgumentException("there is no channel " + channel);
        if (message.Length > _serverLongest)
        {
            throw new ArgumentException("the server accepts " + _serverLongest + " bytes, and the message has " + message.Length);
        }
        Write(Frame(channel << 24, message));
    }

    /// <summary>The next message. Answers heartbeats on the way; throws ClosedException when one side says why it ends.</summary>
    public (uint Channel, byte[] Message) Receive()
    {
        try
        {
            var message = Next();
            _pauseMs = PauseMinMs;
            return message;
        }
        catch (ViolationException violation)
        {
            End(violation.Code);
            throw;
        }
        catch (ClosedException)
        {
            _connection.Close();
            throw;
        }
    }

    /// <summary>
    /// Says that this side has ended, and waits for the end of the other: closing with unread bytes would reset the connection. A server
    /// that has gone already is no trouble.
    /// </summary>
    public void End(int code = 1000)
    {
        try
        {
            _stream.ReadTimeout = TimeoutMs;
            Write(Frame(Control | Close << 24, Little((ulong)code, 2)));
            _connection.Client.Shutdown(SocketShutdown.Send);
            while (_stream.ReadByte() >= 0) { }
        }
        catch (Exception error) when (IsLost(error) || error is ObjectDisposedException)
        {
            // The server has gone.
        }
        finally
        {
            _connection.Close();
        }
    }

    private static bool IsLost(Exception error) => error is IOException || error is SocketException;

    private static bool IsPassing(Exception error) => error is ClosedException closed ? Passing.Contains(closed.Code) : IsLost(error);

    // Reads the answer to HELLO. Nothing is sent to a server whose answer is wrong.
    private void TakeAnswer()
    {
        try
        {
            var (high, payload) = ReadFrame(_stream, _longest);
            if (high == (Control | Reject << 24)) throw ClosedBy(payload);
            if (high != (Control | Welcome << 24)) throw new ViolationException("the answer is no WELCOME");
            ReadWelcome(payload);
        }
        catch (ViolationException violation)
        {
            throw new ClosedException(2004, "this is no zerio server: " + violation.Reason);
        }
    }

    private void ReadWelcome(byte[] payload)
    {
        if (payload.Length < 16) throw new ViolationException("too short a WELCOME");
        int idBytes = Short(payload, 6), credentialBytes = Short(payload, 12), extensionsBytes = Short(payload, 14);
        var announced = Number(payload, 8);
        if (Number(payload, 0) != Magic || payload[4] != Version || payload[5] != 0 || announced > MessageMax)
        {
            throw new ViolationException("a WELCOME of another protocol");
        }
        if (payload.Length != 16 + idBytes + credentialBytes + extensionsBytes)
        {
            throw new ViolationException("a WELCOME whose lengths do not add up");
        }
        if (idBytes == 0 || idBytes > 255 || credentialBytes > 512 || extensionsBytes > 512)
        {
            throw new ViolationException("a WELCOME with too long a field, or without an id");
        }
        CheckExtensions(payload, payload.Length - extensionsBytes);
        ServerId = Text(payload, 16, idBytes);
        _serverLongest = announced;
        if (ServerId.Any(char.IsControl)) throw new ViolationException("a server id with a control character");
    }

    private static void CheckExtensions(byte[] payload, int at)
    {
        var types = new HashSet<int> { Session };
        while (at < payload.Length)
        {
            if (payload.Length - at < 4 || payload.Length - at < 4 + Short(payload, at + 2))
            {
                throw new ViolationException("an extension that is cut");
            }
            if (!types.Add(Short(payload, at))) throw new ViolationException("an extension that is there twice, or not asked for");
            at += 4 + Short(payload, at + 2);
        }
    }

    private (uint Channel, byte[] Message) Next()
    {
        for (;;)
        {
            var (high, payload) = ReadFrame(_stream, _longest);
            if ((high & Control) == 0) return (high >> 24, payload);
            var opcode = high >> 24 & 0x7f;
            if (opcode == Close) throw ClosedBy(payload);
            if ((opcode != Ping && opcode != Pong) || payload.Length != 8)
            {
                throw new ViolationException("a control frame that is unknown or malformed");
            }
            if (opcode == Ping) Write(Frame(Control | Pong << 24, payload));
        }
    }

    private void Write(byte[] bytes) => _stream.Write(bytes, 0, bytes.Length);

    private static byte[] Little(ulong number, int bytes)
    {
        return Enumerable.Range(0, bytes).Select(i => (byte)(number >> 8 * i)).ToArray();
    }

    private static int Short(byte[] bytes, int at) => bytes[at] | bytes[at + 1] << 8;

    private static uint Number(byte[] bytes, int at) => (uint)(Short(bytes, at) | Short(bytes, at + 2) << 16);

    // A frame is a header, whose low 24 bits are the length of the payload, and the payload.
    private static byte[] Frame(uint high, byte[] payload)
    {
        if (payload.Length > ((high & Control) != 0 ? ControlMax : MessageMax))
        {
            throw new ArgumentException(payload.Length + " bytes are too long for a frame");
        }
        return Little(high | (uint)payload.Length, 4).Concat(payload).ToArray();
    }

    private static (uint High, byte[] Payload) ReadFrame(Stream stream, uint longest)
    {
        var header = Number(ReadExactly(stream, 4), 0);
        var length = header & 0xffffff;
        var isControl = (header & Control) != 0;
        if (length > (isControl ? ControlMax : longest))
        {
            throw new ViolationException("the server announced too long a frame", isControl ? 1002 : 1003);
        }
        return (header & 0xff000000, ReadExactly(stream, (int)length));
    }

    private static byte[] ReadExactly(Stream stream, int size)
    {
        var bytes = new byte[size];
        for (var at = 0; at < size;)
        {
            var read = stream.Read(bytes, at, size - at);
            if (read == 0) throw new EndOfStreamException();
            at += read;
        }
        return bytes;
    }

    private static byte[] GreetingFrame(string id, byte[] credential, uint longest)
    {
        var name = Encoding.UTF8.GetBytes(id);
        var payload = new List<byte>(Little(Magic, 4)) { Version, 0 };
        payload.AddRange(Little((ulong)name.Length, 2));
        payload.AddRange(Little(longest, 4));
        payload.AddRange(Little((ulong)credential.Length, 2));
        payload.AddRange(Little(0, 2));
        return Frame(Control | Hello << 24, payload.Concat(name).Concat(credential).ToArray());
    }

    // What the server's REJECT or CLOSE says.
    private static ClosedException ClosedBy(byte[] payload)
    {
        if (payload.Length < 2 || payload.Length > 258) return new ViolationException("a farewell of a wrong length");
        var code = Short(payload, 0);
        if (code >= 2000 && code <= 2999) return new ViolationException("a farewell with the code " + code + ", which must not be sent");
        return new ClosedException(code, Text(payload, 2, payload.Length - 2));
    }

    private static string Text(byte[] bytes, int offset, int length)
    {
        try
        {
            return StrictUtf8.GetString(bytes, offset, length);
        }
        catch (DecoderFallbackException)
        {
            throw new ViolationException("a text that is not UTF-8");
        }
    }

    private static byte[] Hex(string text)
    {
        var digits = text.Replace(" ", "");
        return Enumerable.Range(0, digits.Length / 2).Select(i => Convert.ToByte(digits.Substring(2 * i, 2), 16)).ToArray();
    }

    private static bool Agrees(Dictionary<string, string> vector)
    {
        var bytes = Hex(vector["bytes"]);
        var client = new ZerioClient("", 0, "", new byte[0], 65536) { _stream = new MemoryStream(bytes) };
        if (vector.ContainsKey("high"))
        {
            var high = uint.Parse(vector["high"]);
            var payload = Hex(vector["payload"]);
            if (!Frame(high, payload).SequenceEqual(bytes)) return false;
            if ((high & Control) == 0)
            {
                var (channel, message) = client.Next();
                return channel == high >> 24 && message.SequenceEqual(payload);
            }
            var read = ReadFrame(client._stream, 65536);
            return read.High == high && read.Payload.SequenceEqual(payload);
        }
        if (vector.ContainsKey("id"))
        {
            var credential = Encoding.UTF8.GetBytes(vector["credential"]);
            return GreetingFrame(vector["id"], credential, uint.Parse(vector["longest"])).SequenceEqual(bytes);
        }
        if (vector.ContainsKey("send"))
        {
            client.TakeAnswer();
            try
            {
                client.Send(new byte[int.Parse(vector["send"])], uint.Parse(vector["channel"]));
                return false;
            }
            catch (ArgumentException)
            {
                return true;
            }
        }
        var starts = vector.ContainsKey("start");
        var code = 0;
        try
        {
            if (starts) client.TakeAnswer();
            else client.Next();
        }
        catch (ClosedException closed)
        {
            code = closed.Code;
        }
        return code == int.Parse(vector[starts ? "start" : "code"]);
    }

    // The vectors are flat objects of strings without escapes and whole numbers, so that no JSON library is needed.
    private static void CheckVectors(string path)
    {
        var vectors = Regex.Matches(File.ReadAllText(path), @"\{[^{}]*\}").Cast<Match>().Select(one =>
            Regex.Matches(one.Value, @"""(\w+)"":\s*""?([^"",\n}]*)").Cast<Match>()
                .ToDictionary(field => field.Groups[1].Value, field => field.Groups[2].Value.Trim())).ToList();
        foreach (var vector in vectors)
        {
            if (!Agrees(vector)) throw new IOException("the client disagrees with the vector: " + vector["name"]);
        }
        Console.WriteLine(vectors.Count + " vectors agree");
    }

    private string Ask(string line)
    {
        for (;;)
        {
            try
            {
                Send(Encoding.UTF8.GetBytes(line));
                return Encoding.UTF8.GetString(Receive().Message);
            }
            catch (Exception error) when (IsPassing(error))
            {
                // The answer did not come, so the message may be lost: it is sent again.
                Reconnect(TimeSpan.FromSeconds(30));
            }
        }
    }

    private static void Converse(ZerioClient client)
    {
        client.Connect();
        var utf8 = new UTF8Encoding(false);
        var input = new StreamReader(Console.OpenStandardInput(), utf8);
        var output = new StreamWriter(Console.OpenStandardOutput(), utf8) { AutoFlush = true };
        for (var line = input.ReadLine(); line != null; line = input.ReadLine()) output.Write(client.Ask(line) + "\n");
        client.End();
    }

    public static int Main(string[] args)
    {
        try
        {
            if (args[0] == "vectors") CheckVectors(args[1]);
            else Converse(new ZerioClient("127.0.0.1", int.Parse(args[0]), args[1], new byte[0], 65536));
            return 0;
        }
        catch (Exception error) when (IsLost(error) || error is ArgumentException)
        {
            Console.Error.WriteLine(error.Message);
            return 1;
        }
    }
}
