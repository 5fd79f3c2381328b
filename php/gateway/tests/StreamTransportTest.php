<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use PHPUnit\Framework\TestCase;
use PushGateway\Exception\CallFailed;
use PushGateway\Exception\InvalidConfiguration;
use PushGateway\Http\StreamTransport;

/** Requests to a server that answers as each test wants. */
final class StreamTransportTest extends TestCase
{
    /** @var resource|null */
    private $server = null;

    /** @var resource|null what the server prints */
    private $printed = null;

    protected function tearDown(): void
    {
        if ($this->server !== null) {
            proc_terminate($this->server, 9);
            proc_close($this->server);
            $this->server = null;
        }
    }

    /** Starts a server that gives one connection these bytes, and waits until it listens. */
    private function answering(string $bytes, string $then = 'close', ?string $certificate = null): string
    {
        $command = [PHP_BINARY, __DIR__ . '/one-answer.php', base64_encode($bytes), $then];
        $pipes = [];
        $server = proc_open([...$command, ...(array) $certificate], [1 => ['pipe', 'w']], $pipes);
        $this->assertIsResource($server);
        [$this->server, $this->printed] = [$server, $pipes[1]];

        return ($certificate === null ? 'http' : 'https') . '://' . trim((string) fgets($pipes[1]));
    }

    public function testARequestHasTypeAndToken(): void
    {
        $url = $this->answering("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"result\": 1}");
        $answer = (new StreamTransport("$url/", 'a/token'))->post('/api/x', '{"a": "é"}', 5);
        $this->assertSame([200, '{"result": 1}'], [$answer->status, $answer->body]);
        $request = (string) stream_get_contents($this->printed ?? $this->fail('no server'));
        $this->assertStringStartsWith("POST /api/x HTTP/1.1\r\n", $request);
        foreach (['Content-Type: application/json', 'Authorization: Bearer a/token', 'Content-Length: 11'] as $line) {
            $this->assertStringContainsString("\r\n$line\r\n", $request);
        }
        $this->assertStringEndsWith("\r\n\r\n{\"a\": \"é\"}", $request);
    }

    public function testAnErrorHasItsBodyAndARedirectIsNotFollowed(): void
    {
        $url = $this->answering("HTTP/1.1 422 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        $answer = (new StreamTransport($url))->post('/api/x', '{}', 5);
        $this->assertSame([422, 'hello'], [$answer->status, $answer->body]);
        $this->tearDown();
        $url = $this->answering("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
        $this->assertSame(302, (new StreamTransport($url))->post('/api/x', '{}', 5)->status);
    }

    /** @dataProvider silent */
    public function testWhoDoesNotAnswerInTimeIsGivenUp(string $bytes, string $then): void
    {
        $url = $this->answering($bytes, $then);
        $began = microtime(true);
        try {
            (new StreamTransport($url))->post('/api/x', '{}', 0.3);
            $this->fail('it has answered');
        } catch (CallFailed $e) {
            $this->assertSame("$url: the answer did not come in time.", $e->getMessage());
            $this->assertSame(CallFailed::TIMEOUT, $e->getCode());
        }
        $this->assertLessThan(5, microtime(true) - $began);
    }

    /** @return array<string, array{string, string}> */
    public static function silent(): array
    {
        return [
            'nothing' => ['', 'wait'],
            'a half answer' => ["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", 'wait'],
            'an answer that does not end' => ["HTTP/1.1 200 OK\r\n\r\n", 'trickle'],
        ];
    }

    public function testAnAnswerThatIsTooLongIsNotKept(): void
    {
        $limit = ini_set('memory_limit', '1G');
        $url = $this->answering("HTTP/1.1 200 OK\r\n\r\n", 'flood');
        $this->expectException(CallFailed::class);
        $this->expectExceptionMessage('the answer has more than');
        try {
            (new StreamTransport($url))->post('/api/x', '{}', 60);
        } finally {
            ini_set('memory_limit', (string) $limit);
        }
    }

    public function testACertificateIsChecked(): void
    {
        if (!extension_loaded('openssl')) {
            $this->markTestSkipped('PHP has no openssl');
        }
        $key = openssl_pkey_new(['private_key_bits' => 2048]);
        $this->assertNotFalse($key);
        $config = (string) tempnam(sys_get_temp_dir(), 'openssl');
        $file = (string) tempnam(sys_get_temp_dir(), 'certificate');
        try {
            file_put_contents($config, "[req]\ndistinguished_name=d\n[d]\n[v3]\nsubjectAltName=IP:127.0.0.1\n");
            $options = ['config' => $config, 'x509_extensions' => 'v3', 'digest_alg' => 'sha256'];
            $request = openssl_csr_new(['commonName' => '127.0.0.1'], $key, $options);
            $signed = openssl_csr_sign($request, null, $key, 2, $options);
            $this->assertTrue(openssl_x509_export($signed, $certificate) && openssl_pkey_export($key, $private));
            file_put_contents($file, $certificate . $private);
            $answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
            $url = $this->answering($answer, 'close', $file);
            $this->assertSame('{}', (new StreamTransport($url, null, ['cafile' => $file]))->post('/api/x', '{}', 20)->body);
            $this->tearDown();
            $url = $this->answering($answer, 'close', $file);
            $this->expectException(CallFailed::class);
            $this->expectExceptionCode(CallFailed::UNREACHABLE);
            $this->expectExceptionMessage('certificate verify failed');
            (new StreamTransport($url))->post('/api/x', '{}', 20);
        } finally {
            unlink($config);
            unlink($file);
        }
    }

    public function testNobodyThereIsSaid(): void
    {
        $socket = stream_socket_server('tcp://127.0.0.1:0');
        $this->assertIsResource($socket);
        $address = (string) stream_socket_get_name($socket, false);
        fclose($socket);
        $this->expectException(CallFailed::class);
        $this->expectExceptionMessage("http://$address: Connection refused");
        $this->expectExceptionCode(CallFailed::UNREACHABLE);
        (new StreamTransport("http://$address"))->post('/api/x', '{}', 5);
    }

    public function testAConnectionThatEndsIsSaid(): void
    {
        $url = $this->answering('');
        $this->expectException(CallFailed::class);
        $this->expectExceptionMessage("$url: the connection has ended without an answer.");
        (new StreamTransport($url))->post('/api/x', '{}', 30);
    }

    /** @dataProvider wrong */
    public function testWrongSettingsAreRefused(string $url, ?string $token): void
    {
        $this->expectException(InvalidConfiguration::class);
        new StreamTransport($url, $token);
    }

    /** @return array<string, array{string, ?string}> */
    public static function wrong(): array
    {
        return [
            'a file' => ['file:///etc/passwd', null],
            'no scheme' => ['127.0.0.1:1239', null],
            'a header' => ["http://127.0.0.1:1239/\r\nX: y", null],
            'a token in it' => ['http://token@127.0.0.1:1239', null],
            'an empty token' => ['http://127.0.0.1:1239', ''],
            'a token of two lines' => ['http://127.0.0.1:1239', "a\r\nX: y"],
        ];
    }
}
