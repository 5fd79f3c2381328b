<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use PHPUnit\Framework\TestCase;
use Psr\Http\Client\ClientExceptionInterface;
use Psr\Http\Client\ClientInterface;
use Psr\Http\Message\RequestFactoryInterface;
use Psr\Http\Message\RequestInterface;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\StreamFactoryInterface;
use Psr\Http\Message\StreamInterface;
use PushGateway\Exception\CallFailed;
use PushGateway\Http\Psr18Transport;

final class Psr18TransportTest extends TestCase
{
    /** @var array<string, string> */
    private array $headers = [];

    protected function setUp(): void
    {
        if (!interface_exists(ClientInterface::class) || !interface_exists(RequestFactoryInterface::class)) {
            $this->markTestSkipped('psr/http-client and psr/http-factory are not there');
        }
    }

    /** @param list<string> $parts what the body of the answer is read as */
    private function transport(array $parts, ?\Throwable $failure = null): Psr18Transport
    {
        $request = $this->createMock(RequestInterface::class);
        $request->method('withHeader')->willReturnCallback(function (string $name, string $value) use ($request) {
            $this->headers[$name] = $value;
            return $request;
        });
        $request->method('withBody')->willReturnSelf();
        $requests = $this->createMock(RequestFactoryInterface::class);
        $requests->method('createRequest')->with('POST', 'http://127.0.0.1:1239/api/x')->willReturn($request);
        $streams = $this->createMock(StreamFactoryInterface::class);
        $streams->method('createStream')->with('{}')->willReturn($this->createMock(StreamInterface::class));
        $body = $this->createMock(StreamInterface::class);
        $body->method('eof')->willReturnCallback(function () use (&$parts): bool {
            return $parts === [];
        });
        $body->method('read')->willReturnCallback(function () use (&$parts): string {
            return (string) array_shift($parts);
        });
        $response = $this->createMock(ResponseInterface::class);
        $response->method('getStatusCode')->willReturn(503);
        $response->method('getBody')->willReturn($body);
        $client = $this->createMock(ClientInterface::class);
        $failure === null
            ? $client->method('sendRequest')->willReturn($response)
            : $client->method('sendRequest')->willThrowException($failure);

        return new Psr18Transport('http://127.0.0.1:1239/', $client, $requests, $streams, 'token');
    }

    public function testTheClientMakesTheRequest(): void
    {
        $answer = $this->transport(['{"a"', ': 1}'])->post('/api/x', '{}', 3);
        $this->assertSame([503, '{"a": 1}'], [$answer->status, $answer->body]);
        $this->assertSame('Bearer token', $this->headers['Authorization']);
        $this->assertSame('application/json', $this->headers['Content-Type']);
    }

    public function testAClientThatFailsIsAFailedCall(): void
    {
        $failure = new class ('no route') extends \RuntimeException implements ClientExceptionInterface {
        };
        $this->expectException(CallFailed::class);
        $this->expectExceptionMessage('http://127.0.0.1:1239/: no route');
        $this->transport([], $failure)->post('/api/x', '{}', 3);
    }

    public function testAnAnswerThatIsTooLongIsNotRead(): void
    {
        $this->expectException(CallFailed::class);
        $this->expectExceptionMessage('the answer has more than');
        $this->transport(array_fill(0, 70, str_repeat('x', 1 << 20)))->post('/api/x', '{}', 3);
    }
}
