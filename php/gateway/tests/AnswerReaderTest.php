<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use PHPUnit\Framework\TestCase;
use PushGateway\Exception\CallFailed;
use PushGateway\Http\Answer;
use PushGateway\Http\AnswerReader;

/** Answers that come at once and byte by byte, and whose connection ends behind them. */
final class AnswerReaderTest extends TestCase
{
    private const MAX = 1000;

    /** @param list<string> $parts what comes at a time */
    private function read(array $parts): Answer
    {
        return (new AnswerReader(Parts::open($parts), microtime(true) + 20, self::MAX))->read();
    }

    /** @dataProvider answers */
    public function testAnAnswerIsReadHoweverItComes(string $bytes, int $status, string $body): void
    {
        foreach ([[$bytes], str_split($bytes)] as $parts) {
            $answer = $this->read($parts);
            $this->assertSame([$status, $body], [$answer->status, $answer->body]);
        }
    }

    /** @return array<string, array{string, int, string}> */
    public static function answers(): array
    {
        $longest = str_repeat('x', self::MAX);

        return [
            'a length' => ["HTTP/1.1 200 OK\r\ncontent-length:  5 \r\nX: y\r\n\r\nhello and more", 200, 'hello'],
            'no body' => ["HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n", 503, ''],
            'no reason' => ["HTTP/1.0 404\r\n\r\nuntil the end", 404, 'until the end'],
            'until the end' => ["HTTP/1.1 200 OK\r\n\r\n$longest", 200, $longest],
            'of full length' => ["HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n$longest", 200, $longest],
            'no content' => ["HTTP/1.1 204 No Content\r\n\r\n", 204, ''],
            'chunks' => ["HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n to all of\r\n0\r\n\r\n",
                200, 'hello to all of'],
            'behind an interim answer' => ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n"
                . "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, 'x'],
        ];
    }

    /**
     * @dataProvider broken
     * @param list<string> $parts
     */
    public function testWhatIsNoAnswerIsRefused(array $parts, int $kind, string $complaint): void
    {
        $this->expectException(CallFailed::class);
        $this->expectExceptionCode($kind);
        $this->expectExceptionMessage($complaint);
        $this->read($parts);
    }

    /** @return array<string, array{list<string>, int, string}> */
    public static function broken(): array
    {
        $chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        $long = str_repeat('x', 1001);

        return [
            'nothing' => [[], 1, 'the connection has ended without an answer.'],
            'half a head' => [["HTTP/1.1 200 OK\r\n"], 1, 'the connection has ended within the answer.'],
            'half a body' => [["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"], 1, 'ended within the answer.'],
            'half a chunk' => [["{$chunked}5\r\nhel"], 1, 'ended within the answer.'],
            'another service' => [["220 mail.example.com ESMTP\r\n\r\n"], 5, 'does not speak HTTP'],
            'an old protocol' => [["HTTP/0.9 200 OK\r\n\r\n"], 5, 'does not speak HTTP'],
            'a status' => [["HTTP/1.1 2000 OK\r\n\r\n"], 5, 'does not speak HTTP'],
            'a head without end' => [['HTTP/1.1 200 OK', ...array_fill(0, 9, "\r\nX: " . str_repeat('y', 8000))], 5,
                'the head of the answer has more than 65536 bytes'],
            'interim answers without end' => [array_fill(0, 20, str_repeat("HTTP/1.1 100 Continue\r\n\r\n", 300)), 5,
                'the head of the answer has'],
            'a long body' => [["HTTP/1.1 200 OK\r\n\r\n$long"], 5, 'more than 1000 bytes'],
            'too great a length' => [["HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"], 5, 'more than 1000 bytes'],
            'a length that is none' => [["HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"], 5, 'a length in the answer'],
            'a huge length' => [["HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"], 5, 'a length in the'],
            'two lengths' => [["HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n"], 5, 'a length in the answer is none'],
            'a chunk that is too long' => [["{$chunked}3e9\r\n"], 5, 'more than 1000 bytes'],
            'chunks that are too long' => [["{$chunked}3e8\r\n" . str_repeat('x', 1000) . "\r\n1\r\n"], 5, 'more than 1000'],
            'a chunk without a length' => [["{$chunked}\r\n"], 5, 'a length in the answer is none'],
            'a chunk with another' => [["{$chunked}-5\r\n"], 5, 'a length in the answer is none'],
            'a chunk with a line without end' => [[$chunked, str_repeat('0', 8000)], 5, 'a chunk of the answer has no length'],
            'a chunk that goes on' => [["{$chunked}2\r\nxyz\r\n0\r\n\r\n"], 5, 'does not end where it says'],
            'an encoding' => [["HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"], 5, 'in the encoding gzip'],
        ];
    }

    public function testAnAnswerHasToComeInTime(): void
    {
        $pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        $this->assertIsArray($pair);
        fwrite($pair[1], "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell");
        $this->expectException(CallFailed::class);
        $this->expectExceptionCode(CallFailed::TIMEOUT);
        (new AnswerReader($pair[0], microtime(true) + 0.1, self::MAX))->read();
    }
}
