<?php

declare(strict_types=1);

namespace PushGateway\Http;

use PushGateway\Exception\CallFailed;

/** Reads the answer to a request of HTTP/1.1 from a connection, within a time and a length. */
final class AnswerReader
{
    /** The longest head in bytes, with those of interim answers before it. */
    private const MAX_HEAD = 65536;

    /** The longest line in bytes before a chunk of a body, which has its length. */
    private const MAX_CHUNK_LINE = 1024;

    /** What has been read and belongs to nothing yet. */
    private string $buffer = '';

    /**
     * @param resource $stream
     * @param float $deadline until when the answer must be there, as microtime(true) says it
     * @param int $maxBody the longest body in bytes
     */
    public function __construct(
        private $stream,
        private readonly float $deadline,
        private readonly int $maxBody,
    ) {
    }

    public function read(): Answer
    {
        $headLeft = self::MAX_HEAD;
        do {
            [$status, $headers, $length] = $this->head($headLeft);
            $headLeft -= $length;
        } while ($status >= 100 && $status < 200);
        $body = match (true) {
            $status === 204 || $status === 304 => '',
            isset($headers['transfer-encoding']) => $this->chunks($headers['transfer-encoding']),
            isset($headers['content-length']) => $this->bytes($this->length($headers['content-length'], '/^\d{1,18}\z/', 10)),
            default => $this->rest(),
        };

        return new Answer($status, $body);
    }

    /** @return array{int, array<string, string>, int} status, headers by their names in small letters, and the head's length */
    private function head(int $max): array
    {
        while (($end = strpos($this->buffer, "\r\n\r\n")) === false) {
            if (strlen($this->buffer) > $max) {
                throw $this->strange('the head of the answer has more than ' . self::MAX_HEAD . ' bytes.');
            }
            $this->more() || throw $this->ended($this->buffer === '');
        }
        $lines = explode("\r\n", substr($this->buffer, 0, $end));
        $this->buffer = substr($this->buffer, $end + 4);
        if (preg_match('~^HTTP/1\.[01] (\d{3})(?: |\z)~', (string) array_shift($lines), $match) !== 1) {
            throw $this->strange('what answers does not speak HTTP.');
        }
        $headers = [];
        foreach ($lines as $line) {
            [$name, $value] = explode(':', $line, 2) + [1 => ''];
            $headers[strtolower($name)] = trim($value);
        }

        return [(int) $match[1], $headers, $end + 4];
    }

    private function chunks(string $encoding): string
    {
        if (strtolower($encoding) !== 'chunked') {
            throw $this->strange("the answer comes in the encoding $encoding, which was not asked for.");
        }
        $body = '';
        while (true) {
            $line = explode(';', $this->line(), 2)[0];
            $length = $this->length(trim($line), '/^[0-9A-Fa-f]{1,15}\z/', 16);
            if ($length === 0) {
                // What may follow are headers of no use here, and the connection ends.
                return $body;
            }
            if (strlen($body) + $length > $this->maxBody) {
                throw $this->tooLong();
            }
            $body .= $this->bytes($length);
            if ($this->bytes(2) !== "\r\n") {
                throw $this->strange('a chunk of the answer does not end where it says.');
            }
        }
    }

    private function length(string $text, string $form, int $base): int
    {
        if (preg_match($form, $text) !== 1) {
            throw $this->strange('a length in the answer is none.');
        }
        $length = intval($text, $base);
        if ($length > $this->maxBody) {
            throw $this->tooLong();
        }

        return $length;
    }

    private function line(): string
    {
        while (($end = strpos($this->buffer, "\r\n")) === false) {
            if (strlen($this->buffer) > self::MAX_CHUNK_LINE) {
                throw $this->strange('a chunk of the answer has no length.');
            }
            $this->more() || throw $this->ended(false);
        }
        $line = substr($this->buffer, 0, $end);
        $this->buffer = substr($this->buffer, $end + 2);

        return $line;
    }

    private function bytes(int $length): string
    {
        while (strlen($this->buffer) < $length) {
            $this->more() || throw $this->ended(false);
        }
        $bytes = substr($this->buffer, 0, $length);
        $this->buffer = substr($this->buffer, $length);

        return $bytes;
    }

    /** The body of an answer that ends with the connection. */
    private function rest(): string
    {
        do {
            if (strlen($this->buffer) > $this->maxBody) {
                throw $this->tooLong();
            }
        } while ($this->more());

        return $this->buffer;
    }

    /** Reads more, and returns false when the connection has ended. */
    private function more(): bool
    {
        while (true) {
            $left = $this->deadline - microtime(true);
            if ($left <= 0) {
                throw new CallFailed('the answer did not come in time.', CallFailed::TIMEOUT);
            }
            stream_set_timeout($this->stream, (int) $left, (int) (($left - (int) $left) * 1e6));
            $part = @fread($this->stream, 65536);
            if ($part !== false && $part !== '') {
                $this->buffer .= $part;
                return true;
            }
            // PHP takes a connection that is silent for one that has ended.
            $isSilent = stream_get_meta_data($this->stream)['timed_out'];
            if (!$isSilent && ($part === false || feof($this->stream))) {
                return false;
            }
        }
    }

    private function ended(bool $isEmpty): CallFailed
    {
        $what = $isEmpty ? 'without an answer' : 'within the answer';

        return new CallFailed("the connection has ended $what.", CallFailed::UNREACHABLE);
    }

    private function tooLong(): CallFailed
    {
        return $this->strange("the answer has more than $this->maxBody bytes.");
    }

    private function strange(string $why): CallFailed
    {
        return new CallFailed($why, CallFailed::PROTOCOL);
    }
}
