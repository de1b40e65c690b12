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

/// <summary>The server ended the connection: the code and reason of its REJECT or CLOSE.</summary>
public sealed class ClosedException : IOException
{
    public readonly int Code;

    public ClosedException(int code, string reason) : base(reason + " (" + code + ")")
    {
        Code = code;
    }
}

/// <summary>One connection. Use it from one thread; a program that is silent for long must call Receive, which answers heartbeats.</summary>
public sealed class ZerioClient
{
    private const uint Control = 0x80000000;
    private const uint Hello = 1, Welcome = 2, Reject = 3, Ping = 4, Pong = 5, Close = 6;
    private const uint Magic = 0x4f49525a;
    private const byte Version = 1;
    // Refusals that the next attempt may not meet: going away, the id is taken, the server is full, too many handshakes.
    private static readonly int[] Passing = { 1001, 1014, 1016, 1017 };

    private readonly string _host, _id;
    private readonly int _port;
    private readonly byte[] _credential;
    private readonly uint _longest;
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
        _connection = new TcpClient(_host, _port) { NoDelay = true };
        _stream = _connection.GetStream();
        _stream.ReadTimeout = 5000;
        Write(GreetingFrame(_id, _credential, _longest));
        var (high, payload) = ReadFrame(_stream, _longest);
        if (high == (Control | Reject << 24)) throw ClosedBy(payload);
        if (high != (Control | Welcome << 24) || payload.Length < 16) throw new ClosedException(1002, "this is no zerio server");
        ServerId = Encoding.UTF8.GetString(payload, 16, payload[6] | payload[7] << 8);
        _stream.ReadTimeout = Timeout.Infinite;
    }

    /// <summary>Connects after 50 ms, then after twice as long, up to 2 s. Throws a lasting refusal, and the last failure at the end.</summary>
    public void Reconnect(TimeSpan patience)
    {
        _connection.Close();
        var random = new Random();
        var until = DateTime.UtcNow + patience;
        for (var pause = 50; ; pause = Math.Min(2000, 2 * pause))
        {
            Thread.Sleep(random.Next(pause / 2, pause));
            try
            {
                Connect();
                return;
            }
            catch (Exception error) when (IsLost(error))
            {
                _connection.Close();
                if (error is ClosedException closed && !Passing.Contains(closed.Code) || DateTime.UtcNow > until) throw;
            }
        }
    }

    /// <summary>Sends a message on a channel from 0 to 127.</summary>
    public void Send(byte[] message, uint channel = 0)
    {
        Write(Frame(channel << 24, message));
    }

    /// <summary>The next message. Answers heartbeats on the way; throws ClosedException when the server ends the connection and says why.</summary>
    public byte[] Receive()
    {
        for (;;)
        {
            var (high, payload) = ReadFrame(_stream, _longest);
            if ((high & Control) == 0) return payload;
            var opcode = high >> 24 & 0x7f;
            if (opcode == Close) throw ClosedBy(payload);
            if ((opcode != Ping && opcode != Pong) || payload.Length != 8) throw new ClosedException(1002, "unknown control frame");
            if (opcode == Ping) Write(Frame(Control | Pong << 24, payload));
        }
    }

    /// <summary>Says that this side has ended, and waits for the end of the other: closing with unread bytes would reset the connection.</summary>
    public void End()
    {
        Write(Frame(Control | Close << 24, new byte[] { 0xe8, 0x03 }));
        _connection.Client.Shutdown(SocketShutdown.Send);
        while (_stream.ReadByte() >= 0) { }
        _connection.Close();
    }

    private static bool IsLost(Exception error) => error is IOException || error is SocketException;

    private void Write(byte[] bytes) => _stream.Write(bytes, 0, bytes.Length);

    private static byte[] Little(ulong number, int bytes)
    {
        return Enumerable.Range(0, bytes).Select(i => (byte)(number >> 8 * i)).ToArray();
    }

    // A frame is a header, whose low 24 bits are the length of the payload, and the payload.
    private static byte[] Frame(uint high, byte[] payload)
    {
        return Little(high | (uint)payload.Length, 4).Concat(payload).ToArray();
    }

    private static (uint High, byte[] Payload) ReadFrame(Stream stream, uint longest)
    {
        var head = ReadExactly(stream, 4);
        var header = (uint)(head[0] | head[1] << 8 | head[2] << 16 | head[3] << 24);
        var length = header & 0xffffff;
        var isControl = (header & Control) != 0;
        if (length > (isControl ? 1024 : longest)) throw new ClosedException(isControl ? 1002 : 1003, "too long a frame");
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

    private static ClosedException ClosedBy(byte[] payload)
    {
        if (payload.Length < 2 || payload.Length > 258) return new ClosedException(1002, "malformed farewell");
        return new ClosedException(payload[0] | payload[1] << 8, Encoding.UTF8.GetString(payload, 2, payload.Length - 2));
    }

    private static byte[] Hex(string text)
    {
        var digits = text.Replace(" ", "");
        return Enumerable.Range(0, digits.Length / 2).Select(i => Convert.ToByte(digits.Substring(2 * i, 2), 16)).ToArray();
    }

    private static bool Agrees(Dictionary<string, string> vector)
    {
        var bytes = Hex(vector["bytes"]);
        if (vector.ContainsKey("high"))
        {
            var high = uint.Parse(vector["high"]);
            var payload = Hex(vector["payload"]);
            var read = ReadFrame(new MemoryStream(bytes), 65536);
            return Frame(high, payload).SequenceEqual(bytes) && read.High == high && read.Payload.SequenceEqual(payload);
        }
        if (vector.ContainsKey("id"))
        {
            var credential = Encoding.UTF8.GetBytes(vector["credential"]);
            return GreetingFrame(vector["id"], credential, uint.Parse(vector["longest"])).SequenceEqual(bytes);
        }
        try
        {
            new ZerioClient("", 0, "", new byte[0], 65536) { _stream = new MemoryStream(bytes) }.Receive();
            return false;
        }
        catch (ClosedException closed)
        {
            return closed.Code == int.Parse(vector["code"]);
        }
    }

    // The vectors are flat objects of strings without escapes and whole numbers, so that no JSON library is needed.
    private static void CheckVectors(string path)
    {
        var vectors = Regex.Matches(File.ReadAllText(path), @"\{[^{}]*\}").Cast<Match>().Select(one =>
            Regex.Matches(one.Value, @"""(\w+)"":\s*""?([^"",\n}]*)").Cast<Match>()
                .ToDictionary(field => field.Groups[1].Value, field => field.Groups[2].Value.Trim())).ToList();
        foreach (var vector in vectors)
        {
            if (!Agrees(vector)) throw new InvalidDataException(vector["name"]);
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
                return Encoding.UTF8.GetString(Receive());
            }
            catch (Exception error) when (IsLost(error))
            {
                // The answer did not come, so the message may be lost: it is sent again.
                Reconnect(TimeSpan.FromSeconds(30));
            }
        }
    }

    public static void Main(string[] args)
    {
        if (args[0] == "vectors")
        {
            CheckVectors(args[1]);
            return;
        }
        var client = new ZerioClient("127.0.0.1", int.Parse(args[0]), args[1], new byte[0], 65536);
        client.Connect();
        var utf8 = new UTF8Encoding(false);
        var input = new StreamReader(Console.OpenStandardInput(), utf8);
        var output = new StreamWriter(Console.OpenStandardOutput(), utf8) { AutoFlush = true };
        for (var line = input.ReadLine(); line != null; line = input.ReadLine()) output.Write(client.Ask(line) + "\n");
        client.End();
    }
}
