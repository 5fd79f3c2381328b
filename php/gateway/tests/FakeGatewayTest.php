<?php

declare(strict_types=1);

namespace PushGateway\Tests;

use PHPUnit\Framework\AssertionFailedError;
use PHPUnit\Framework\TestCase;
use PushGateway\Exception\CallFailed;
use PushGateway\Test\FakeGateway;

final class FakeGatewayTest extends TestCase
{
    public function testItDoesWhatEveryGatewayDoes(): void
    {
        $gateway = new FakeGateway();
        foreach (['c1', 'c2', 'c3'] as $client) {
            $gateway->connect($client);
        }
        $contract = new Contract($gateway, ['c1', 'c2', 'c3']);
        $contract->run();
        $this->assertSame([], $contract->unsupported);
    }

    public function testWhatIsSentIsFound(): void
    {
        $gateway = new FakeGateway();
        $gateway->assertNothingSent();
        $gateway->sendToUid(['ann', 7], ['type' => 'comment', 'url' => '/é']);
        $gateway->sendToAll('news');
        $gateway->deliverToUid('ann', 'kept');
        $gateway->assertSentTo('ann', ['type' => 'comment', 'url' => '/é']);
        $gateway->assertSentTo(7, fn (mixed $message) => is_array($message) && $message['type'] === 'comment');
        $gateway->assertSentTo('7', fn () => true);
        $gateway->assertSentTo(null, 'news');
        $gateway->assertSentTo('ann', 'kept');
        $gateway->assertNotSentTo('ann', 'news');
        $gateway->assertNotSentTo('bob');
        $gateway->assertSentCount(3);
        $this->assertSame(['sendToUid', 'sendToAll', 'deliverToUid'], array_column($gateway->sent, 'method'));
    }

    public function testAnAssertionThatFailsSaysWhatWasSent(): void
    {
        $gateway = new FakeGateway();
        $gateway->sendToGroup('news', ['n' => 1]);
        $failing = [
            fn () => $gateway->assertSentTo('news', ['n' => 2]),
            fn () => $gateway->assertSentTo(null, ['n' => 1]),
            fn () => $gateway->assertNotSentTo('news'),
            fn () => $gateway->assertNothingSent(),
            fn () => $gateway->assertSentCount(2),
        ];
        foreach ($failing as $at => $assertion) {
            try {
                $assertion();
            } catch (AssertionFailedError $e) {
                $this->assertStringContainsString('sendToGroup "news": {"n":1}', $e->getMessage());
                continue;
            }
            $this->fail("assertion $at holds");
        }
    }

    public function testItIsDownWhenATestWantsThat(): void
    {
        $gateway = new FakeGateway();
        $gateway->failure = 'connection refused';
        $calls = [
            fn () => $gateway->sendToAll('m'), fn () => $gateway->isOnline('c1'), fn () => $gateway->bindUid('c1', 'ann'),
            fn () => $gateway->token('ann'),
        ];
        foreach ($calls as $call) {
            try {
                $call();
            } catch (CallFailed $e) {
                $this->assertStringContainsString('connection refused', $e->getMessage());
                continue;
            }
            $this->fail('the call has not failed');
        }
        $gateway->assertNothingSent();
    }
}
