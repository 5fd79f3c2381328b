<?php

declare(strict_types=1);

namespace PushGateway\Http;

use PushGateway\Exception\CallFailed;
use PushGateway\Exception\InvalidConfiguration;

/** Makes requests by PHP's own streams, so that it needs no extension but openssl for https. Each has a connection of its own. */
final class StreamTransport implements Transport
{
    private readonly string $url;

    /**
     * @param string $url where the operations port is, such as `http://127.0.0.1:1239`
     * @param string|null $token the server's operations_token
     * @param array<string, mixed> $tls options of PHP's `ssl` streams, such as `cafile`
     */
    public function __construct(
        string $url,
        #[\SensitiveParameter] private readonly ?string $token = null,
        private readonly array $tls = [],
    ) {
        if (preg_match('~^https?://[^/?#\s@]+(/[^?#\s]*)?\z~', $url) !== 1) {
            throw new InvalidConfiguration("$url is no address such as http://127.0.0.1:1239");
        }
        if ($token !== null && preg_match('/^[\x21-\x7e]+\z/', $token) !== 1) {
            throw new InvalidConfiguration('The operations token is empty, or has bytes that no header takes.');
        }
        $this->url = rtrim($url, '/');
    }

    public function post(string $path, string $json, float $timeout): Answer
    {
        $deadline = microtime(true) + $timeout;
        $header = ['Content-Type: application/json', 'Accept: application/json', 'Connection: close'];
        if ($this->token !== null) {
            $header[] = "Authorization: Bearer $this->token";
        }
        $context = stream_context_create([
            'http' => [
                'method' => 'POST',
                'header' => $header,
                'content' => $json,
                'timeout' => $timeout,
                'protocol_version' => 1.1,
                'follow_location' => 0,
                'ignore_errors' => true,
            ],
            'ssl' => $this->tls,
        ]);
        error_clear_last();
        $stream = @fopen($this->url . $path, 'r', false, $context);
        if ($stream === false) {
            $message = error_get_last()['message'] ?? '';
            $isLate = microtime(true) >= $deadline;
            $kind = $isLate ? CallFailed::TIMEOUT : CallFailed::UNREACHABLE;
            throw new CallFailed("$this->url: " . self::reason($message, $isLate), $kind);
        }
        try {
            return new Answer($this->status($stream), $this->body($stream, $deadline));
        } finally {
            fclose($stream);
        }
    }

    /** @param resource $stream */
    private function body($stream, float $deadline): string
    {
        $body = '';
        while (!feof($stream)) {
            $left = $deadline - microtime(true);
            if ($left <= 0) {
                throw new CallFailed("$this->url: the answer did not come in time.", CallFailed::TIMEOUT);
            }
            stream_set_timeout($stream, (int) $left, (int) (($left - (int) $left) * 1e6));
            $part = fread($stream, 65536);
            if ($part === false || stream_get_meta_data($stream)['timed_out']) {
                throw new CallFailed("$this->url: the answer did not come in time.", CallFailed::TIMEOUT);
            }
            $body .= $part;
            if (strlen($body) > self::MAX_ANSWER) {
                $why = "$this->url: the answer has more than " . self::MAX_ANSWER . ' bytes.';
                throw new CallFailed($why, CallFailed::PROTOCOL);
            }
        }

        return $body;
    }

    /** @param resource $stream */
    private function status($stream): int
    {
        $lines = stream_get_meta_data($stream)['wrapper_data'] ?? [];
        foreach (is_array($lines) ? array_reverse($lines) : [] as $line) {
            if (is_string($line) && preg_match('~^HTTP/\S+ (\d{3})~', $line, $match) === 1) {
                return (int) $match[1];
            }
        }

        return 0;
    }

    /** Why PHP could not open the address, without the address, which the text has before. */
    private static function reason(string $message, bool $isLate): string
    {
        $parts = explode('): ', $message, 2);
        $why = preg_replace('/^failed to open stream: /i', '', $parts[1] ?? $message);

        return match (true) {
            !ini_get('allow_url_fopen') => 'php.ini has allow_url_fopen off; give the gateway a PSR-18 client',
            $why !== 'HTTP request failed!' && $why !== '' && $why !== null => $why,
            $isLate => 'the answer did not come in time.',
            default => 'the connection has ended without an answer.',
        };
    }
}
