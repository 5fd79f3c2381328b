<?php

declare(strict_types=1);

namespace PushGateway\Http;

use Psr\Http\Client\ClientExceptionInterface;
use Psr\Http\Client\ClientInterface;
use Psr\Http\Client\NetworkExceptionInterface;
use Psr\Http\Message\RequestFactoryInterface;
use Psr\Http\Message\StreamFactoryInterface;
use PushGateway\Exception\CallFailed;

/** Makes requests by a client of the application, which may keep connections and has timeouts of its own. */
final class Psr18Transport implements Transport
{
    /**
     * @param string $url where the operations port is, such as `http://127.0.0.1:1239`
     * @param string|null $token the server's operations_token
     */
    public function __construct(
        private readonly string $url,
        private readonly ClientInterface $client,
        private readonly RequestFactoryInterface $requests,
        private readonly StreamFactoryInterface $streams,
        #[\SensitiveParameter] private readonly ?string $token = null,
    ) {
    }

    public function post(string $path, string $json, float $timeout): Answer
    {
        $request = $this->requests->createRequest('POST', rtrim($this->url, '/') . $path)
            ->withHeader('Content-Type', 'application/json')
            ->withHeader('Accept', 'application/json')
            ->withBody($this->streams->createStream($json));
        if ($this->token !== null) {
            $request = $request->withHeader('Authorization', "Bearer $this->token");
        }
        try {
            $response = $this->client->sendRequest($request);
            $body = '';
            $stream = $response->getBody();
            while (!$stream->eof()) {
                $body .= $stream->read(65536);
                if (strlen($body) > self::MAX_ANSWER) {
                    $why = "$this->url: the answer has more than " . self::MAX_ANSWER . ' bytes.';
                    throw new CallFailed($why, CallFailed::PROTOCOL);
                }
            }
        } catch (ClientExceptionInterface $e) {
            $kind = $e instanceof NetworkExceptionInterface ? CallFailed::UNREACHABLE : 0;
            throw new CallFailed("$this->url: {$e->getMessage()}", $kind, $e);
        }

        return new Answer($response->getStatusCode(), $body);
    }
}
