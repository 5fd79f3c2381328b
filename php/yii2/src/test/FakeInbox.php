<?php

declare(strict_types=1);

namespace PushGateway\Yii2\test;

/** What {@see FakeGateway} keeps of delivered messages: that of every fake. */
final class FakeInbox extends \PushGateway\Test\FakeInbox
{
}
