<?php

declare(strict_types=1);

namespace PushGateway\Yii2\Tests;

use PushGateway\Exception\CallFailed;
use PushGateway\Exception\UnsupportedCall;
use PushGateway\GatewayInterface;
use PushGateway\Yii2\Bootstrap;
use PushGateway\Yii2\ComponentGateway;
use PushGateway\Yii2\Gateway;
use PushGateway\Yii2\SendEvent;
use Yii;
use yii\base\InvalidConfigException;

final class ComponentGatewayTest extends TestCase
{
    protected function tearDown(): void
    {
        Yii::$container->clear(GatewayInterface::class);
        parent::tearDown();
    }

    public function testTheContainerGivesTheComponentToWhoWantsTheInterface(): void
    {
        (new Bootstrap())->bootstrap(Yii::$app);
        $gateway = Yii::$container->get(GatewayInterface::class);
        $this->assertInstanceOf(ComponentGateway::class, $gateway);
        $gateway->sendToUid('ann', ['n' => 1], exclude: 'c1');
        $this->assertSame([['sendToUid', 'ann', '{"n":1}', ['exclude' => 'c1']]], $this->gateway->sent);
        $this->assertSame([true, ['c1', 'c2']], [$gateway->isUidOnline('ann'), $gateway->getClientIdByUid('ann')]);
        $this->assertSame(['token of 7', 'token of 7 for phone'], [$gateway->token(7), $gateway->token(7, device: 'phone')]);
    }

    public function testAnApplicationMayHaveAnother(): void
    {
        $other = new ComponentGateway($this->gateway);
        Yii::$container->setSingleton(GatewayInterface::class, $other);
        (new Bootstrap())->bootstrap(Yii::$app);
        $this->assertSame($other, Yii::$container->get(GatewayInterface::class));
    }

    public function testWhatThereIsNotIsSaid(): void
    {
        Yii::$app->set('other', \yii\base\Component::class);
        try {
            new ComponentGateway('other');
            $this->fail('it was taken');
        } catch (InvalidConfigException $e) {
            $this->assertStringContainsString(Gateway::class, $e->getMessage());
        }
        $this->expectException(UnsupportedCall::class);
        (new ComponentGateway(new Gateway(['backend' => OldClient::class])))->ask('ann', 'm');
    }

    /** The component's way with failures stays: a send that gives no answer is logged, and what gives one throws. */
    public function testAFailureIsAsTheComponentIsSet(): void
    {
        $gateway = new ComponentGateway($this->gateway);
        $this->gateway->failure = 'away';
        $failed = [];
        $this->gateway->on(Gateway::EVENT_SEND_FAILED, function (SendEvent $event) use (&$failed): void {
            $failed[] = $event->method;
        });
        $gateway->sendToAll('m');
        $calls = [
            fn () => $gateway->sendToUidCounted('ann', 'm'), fn () => $gateway->deliverToUid('ann', 'm'),
            fn () => $gateway->ask('ann', 'm'), fn () => $gateway->isOnline('c1'),
        ];
        foreach ($calls as $at => $call) {
            try {
                $call();
            } catch (CallFailed) {
                continue;
            }
            $this->fail("call $at has not failed");
        }
        $this->assertSame([['sendToAll'], Gateway::ON_ERROR_LOG], [$failed, $this->gateway->onError]);
    }

    public function testWhatAHandlerHoldsBackHasNoAnswer(): void
    {
        $this->gateway->on(Gateway::EVENT_BEFORE_SEND, fn (SendEvent $event) => $event->isValid = false);
        $gateway = new ComponentGateway($this->gateway);
        $gateway->sendToAll('m');
        $this->assertSame([[], []], [$gateway->ask('ann', 'm'), $this->gateway->sent]);
        $this->expectException(CallFailed::class);
        $this->expectExceptionMessage('a handler of the component has held the message back');
        $gateway->deliverToUid('ann', 'm');
    }
}
