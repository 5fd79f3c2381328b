<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

use PHPUnit\Framework\TestCase as UnitTest;
use PushGateway\Test\SignedWebhook;
use PushGateway\Webhook\Webhook;

/** Posts to the action on PHP's own web server, so that the body is what PHP has of a request. */
final class WebhookServedTest extends UnitTest
{
    /** @var resource|null */
    private static $server = null;
    private static string $address = '';

    public static function setUpBeforeClass(): void
    {
        $command = [PHP_BINARY, '-d', 'post_max_size=8M', '-S', '127.0.0.1:0', dirname(__DIR__) . '/webhook-server.php'];
        $pipes = [];
        $server = proc_open($command, [['file', '/dev/null', 'r'], ['file', '/dev/null', 'w'], ['pipe', 'w']], $pipes);
        self::assertIsResource($server);
        self::$server = $server;
        // The line says the port that the system has chosen, and comes once connections are taken.
        while (($line = fgets($pipes[2])) !== false) {
            if (preg_match('#\(http://(127\.0\.0\.1:\d+)\) started#', $line, $match)) {
                self::$address = $match[1];
                return;
            }
        }
        self::fail('the web server did not start');
    }

    public static function tearDownAfterClass(): void
    {
        if (self::$server !== null) {
            proc_terminate(self::$server);
            proc_close(self::$server);
            self::$server = null;
        }
    }

    public function testTheBodyIsReadAsItWasSent(): void
    {
        $answer = $this->post(SignedWebhook::BODY, SignedWebhook::headers(SignedWebhook::BODY));
        $this->assertStringContainsString(' 204 ', $answer[0]);
        $this->assertContains('X-Receipts: 2', $answer);
        $this->assertContains('X-Undelivered: anna m3', $answer);
    }

    public function testABodyOfTheLongestLengthIsTakenAndALongerOneIsNot(): void
    {
        foreach ([[0, ' 204 '], [1, ' 401 '], [1 << 20, ' 401 ']] as [$more, $status]) {
            $body = str_pad(SignedWebhook::BODY, Webhook::MAX_BODY + $more);
            $this->assertStringContainsString($status, $this->post($body, SignedWebhook::headers($body))[0]);
        }
    }

    public function testAFormCannotPassForAWebhook(): void
    {
        $headers = ['Content-Type' => 'application/x-www-form-urlencoded'] + SignedWebhook::headers('a=b');
        $this->assertStringContainsString(' 401 ', $this->post('a=c', $headers)[0]);
        $this->assertStringContainsString(' 400 ', $this->post('a=b', $headers)[0]);
    }

    /**
     * @param array<string, string> $headers
     * @return list<string> the lines of the answer's head
     */
    private function post(string $body, array $headers): array
    {
        $headers += ['Content-Type' => 'application/json'];
        $lines = array_map(fn (string $name, string $value) => "$name: $value", array_keys($headers), $headers);
        $http = ['method' => 'POST', 'header' => $lines, 'content' => $body, 'ignore_errors' => true, 'timeout' => 20];
        $stream = fopen('http://' . self::$address . '/', 'r', false, stream_context_create(['http' => $http]));
        self::assertIsResource($stream);

        return stream_get_meta_data($stream)['wrapper_data'];
    }
}
