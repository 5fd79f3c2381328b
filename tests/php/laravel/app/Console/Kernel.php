<?php

namespace App\Console;

use App\Models\User;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Foundation\Console\Kernel as ConsoleKernel;
use Illuminate\Support\Facades\Schema;

class Kernel extends ConsoleKernel
{
    protected function commands(): void
    {
        $this->command('prepare', function (): void {
            Schema::create('users', fn (Blueprint $table) => $table->id());
            foreach ([7, 8] as $id) {
                (new User())->forceFill(['id' => $id])->save();
            }
            // What `queue:table` has a migration create.
            Schema::create('jobs', function (Blueprint $table): void {
                $table->id();
                $table->string('queue');
                $table->text('payload');
                $table->integer('attempts');
                $table->integer('reserved_at')->nullable();
                $table->integer('available_at');
                $table->integer('created_at');
            });
        });
    }
}
