<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use PHPUnit\Framework\TestCase;
use Psr\EventDispatcher\EventDispatcherInterface;
use PushGateway\Event\MessageEvent;
use PushGateway\Event\MessageFailed;
use PushGateway\Event\MessageSent;
use PushGateway\Exception\CallFailed;
use PushGateway\OnError;
use PushGateway\Test\FakeGateway;

final class EventsAndLogTest extends TestCase
{
    /** @var list<object> */
    private array $events = [];

    private function dispatcher(): EventDispatcherInterface
    {
        return new class (function (object $event): void {
            $this->events[] = $event;
        }) implements EventDispatcherInterface {
            public function __construct(private readonly \Closure $told)
            {
            }

            public function dispatch(object $event): object
            {
                ($this->told)($event);

                return $event;
            }
        };
    }

    public function testMessagesThatAreSentAreToldOf(): void
    {
        $gateway = new FakeGateway(null, $this->dispatcher());
        $gateway->connect('c1', 'ann');
        $gateway->sendToUid('ann', ['n' => 1], exclude: 'c2', binary: false);
        $gateway->sendToAll('m');
        $counts = $gateway->sendToUidCounted(['ann', 7], 'counted');
        $gateway->deliverToUid('ann', 'kept', ['id' => 'm1', 'ttl' => 5]);
        $gateway->bindUid('c1', 'bob');
        $gateway->isOnline('c1');
        $told = array_map(function (object $event): array {
            $this->assertInstanceOf(MessageSent::class, $event);
            return [$event->method, $event->to, $event->message, $event->options, $event->result];
        }, $this->events);
        $this->assertSame([
            ['sendToUid', 'ann', ['n' => 1], ['exclude' => 'c2', 'binary' => false], null],
            ['sendToAll', null, 'm', [], null],
            ['sendToUidCounted', ['ann', 7], 'counted', [], $counts],
            ['deliverToUid', 'ann', 'kept', ['id' => 'm1', 'ttl' => 5], 'm1'],
        ], $told);
    }

    public function testAFailureIsToldOfAndWrittenOnce(): void
    {
        $log = new KeptLog();
        $gateway = new FakeGateway($log, $this->dispatcher());
        $gateway->failure = 'connection refused';
        try {
            $gateway->sendToUid('ann', ['secret' => 'of ann']);
            $this->fail('nothing was thrown');
        } catch (CallFailed $e) {
            $this->assertSame('sendToUid: connection refused', $e->getMessage());
        }
        $this->assertCount(1, $this->events);
        $event = $this->events[0];
        $this->assertInstanceOf(MessageFailed::class, $event);
        $this->assertSame([$e, 'ann'], [$event->error, $event->to]);
        $this->assertSame(['The gateway did not do sendToUid: sendToUid: connection refused'], $log->lines);
        ['method' => $method, 'to' => $to, 'exception' => $exception] = $log->contexts[0];
        $this->assertSame(['sendToUid', 'ann', $e], [$method, $to, $exception]);
        unset($log->contexts[0]['exception']);
        $this->assertStringNotContainsString('of ann', serialize($log->contexts));
    }

    public function testWhatGivesNoAnswerMayBeLoggedAlone(): void
    {
        $log = new KeptLog();
        $gateway = new FakeGateway($log, null, OnError::Log);
        $gateway->failure = 'away';
        $gateway->sendToAll('m');
        $gateway->sendToClient('c1', 'm');
        $gateway->sendToUid('ann', 'm');
        $gateway->sendToGroup('news', 'm');
        $gateway->closeUid('ann');
        $gateway->closeClient('c1', 'bye');
        $this->assertCount(6, $log->lines);
        $others = [
            fn () => $gateway->sendToUidCounted('ann', 'm'), fn () => $gateway->ask('ann', 'm'),
            fn () => $gateway->deliverToUid('ann', 'm'),
            fn () => $gateway->isUidOnline('ann'), fn () => $gateway->bindUid('c1', 'ann'), fn () => $gateway->forget('ann'),
        ];
        foreach ($others as $at => $call) {
            try {
                $call();
            } catch (CallFailed) {
                continue;
            }
            $this->fail("call $at was only logged");
        }
        $this->assertCount(12, $log->lines);
    }

    public function testALogThatFailsChangesNothing(): void
    {
        $log = new KeptLog();
        $log->failure = 'the disk is full';
        $gateway = new FakeGateway($log, null, OnError::Log);
        $gateway->failure = 'away';
        $place = ini_set('error_log', '/dev/null');
        try {
            $gateway->sendToAll('m');
            $this->expectExceptionMessage('isOnline: away');
            $gateway->isOnline('c1');
        } finally {
            ini_set('error_log', (string) $place);
        }
    }

    public function testAMistakeOfTheProgramIsNoOutage(): void
    {
        $log = new KeptLog();
        $gateway = new FakeGateway($log, $this->dispatcher(), OnError::Log);
        $this->expectException(\JsonException::class);
        $gateway->sendToAll(["\xff"]);
    }

    public function testWhatListenersThrowIsTheirs(): void
    {
        $dispatcher = new class implements EventDispatcherInterface {
            public function dispatch(object $event): object
            {
                throw new \DomainException($event instanceof MessageEvent ? $event->method : '');
            }
        };
        $gateway = new FakeGateway(null, $dispatcher);
        try {
            $gateway->sendToAll('m');
            $this->fail('nothing was thrown');
        } catch (\DomainException $e) {
            $this->assertSame('sendToAll', $e->getMessage());
        }
        $gateway->assertSentCount(1);
    }
}
