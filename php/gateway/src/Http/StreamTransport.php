<?php

declare(strict_types=1);

namespace PushGateway\Http;

use PushGateway\Exception\CallFailed;
use PushGateway\Exception\InvalidConfiguration;

/**
 * Makes requests over PHP's own sockets, so that it needs no extension but openssl for https, and no setting of php.ini. Each
 * request has a connection of its own.
 */
final class StreamTransport implements Transport
{
    private readonly string $url;
    private readonly string $socket;
    private readonly string $host;
    private readonly string $path;

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
        $form = '~^(?<scheme>https?)://(?<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?<port>\d{1,5}))?(?<path>/[!-}]*)?\z~';
        if (preg_match($form, $url, $parts) !== 1 || preg_match('/[?#]/', $parts['path'] ?? '') === 1) {
            throw new InvalidConfiguration("$url is no address such as http://127.0.0.1:1239");
        }
        if ($token !== null && preg_match('/^[\x21-\x7e]+\z/', $token) !== 1) {
            throw new InvalidConfiguration('The operations token is empty, or has bytes that no header takes.');
        }
        $isSecure = $parts['scheme'] === 'https';
        $port = ($parts['port'] ?? '') !== '' ? $parts['port'] : ($isSecure ? '443' : '80');
        $this->url = rtrim($url, '/');
        $this->socket = ($isSecure ? 'ssl://' : 'tcp://') . "$parts[host]:$port";
        $this->host = $parts['host'] . (($parts['port'] ?? '') === '' ? '' : ":$port");
        $this->path = rtrim($parts['path'] ?? '', '/');
    }

    public function post(string $path, string $json, float $timeout): Answer
    {
        $deadline = microtime(true) + $timeout;
        $stream = $this->connected($timeout, $deadline);
        try {
            $this->write($stream, $this->request($path, $json), $deadline);

            return (new AnswerReader($stream, $deadline, self::MAX_ANSWER))->read();
        } catch (CallFailed $e) {
            throw new CallFailed("$this->url: {$e->getMessage()}", (int) $e->getCode());
        } finally {
            fclose($stream);
        }
    }

    /** @return resource */
    private function connected(float $timeout, float $deadline)
    {
        $error = '';
        $warnings = [];
        $context = stream_context_create(['ssl' => $this->tls]);
        set_error_handler(function (int $level, string $message) use (&$warnings): bool {
            $warnings[] = $message;
            return true;
        });
        try {
            $stream = stream_socket_client($this->socket, $code, $error, $timeout, STREAM_CLIENT_CONNECT, $context);
        } finally {
            restore_error_handler();
        }
        if ($stream !== false) {
            return $stream;
        }
        if (microtime(true) >= $deadline) {
            throw new CallFailed("$this->url: nobody answered in time.", CallFailed::TIMEOUT);
        }
        // PHP says of TLS in the first of its warnings alone what was wrong.
        $warning = preg_replace(['/^stream_socket_client\(\): /', '/\s+/'], ['', ' '], $warnings[0] ?? 'no connection');
        throw new CallFailed("$this->url: " . ($error !== '' ? $error : $warning), CallFailed::UNREACHABLE);
    }

    private function request(string $path, string $json): string
    {
        $lines = [
            "POST $this->path$path HTTP/1.1",
            "Host: $this->host",
            'Content-Type: application/json',
            'Accept: application/json',
            'Content-Length: ' . strlen($json),
            'Connection: close',
            ...$this->token === null ? [] : ["Authorization: Bearer $this->token"],
        ];

        return implode("\r\n", $lines) . "\r\n\r\n$json";
    }

    /** @param resource $stream */
    private function write($stream, string $bytes, float $deadline): void
    {
        while ($bytes !== '') {
            $left = $deadline - microtime(true);
            if ($left <= 0) {
                throw new CallFailed('the request was not taken in time.', CallFailed::TIMEOUT);
            }
            stream_set_timeout($stream, (int) $left, (int) (($left - (int) $left) * 1e6));
            $written = @fwrite($stream, $bytes);
            if ($written === false) {
                // Whoever refuses a request may have said why before it closes the connection.
                return;
            }
            $bytes = substr($bytes, $written);
        }
    }
}
